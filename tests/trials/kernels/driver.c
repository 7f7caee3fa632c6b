// A CUDA driver without a device: it answers as one of compute capability DREAMFUSE_SM (80, 90, …), takes every kernel, runs
// none, and counts memory. Kernels are compiled as for a real device; nothing is computed.
// cc -shared -fPIC -O1 -o libcuda.so.1 driver.c
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define API __attribute__((visibility("default"))) int
enum { SUCCESS = 0, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };
static char handle[1];

// Memory: each block is mapped and untouched, so that it costs nothing. Its length lies in a page before it.
static const size_t PAGE = 4096;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t now, most, launches, modules, most_shared;

// DREAMFUSE_MIB, or 80 GiB.
static size_t total(void) {
  const char *named = getenv("DREAMFUSE_MIB");
  return named ? (size_t)atol(named) << 20 : (size_t)80 << 30;
}

static int take(void **out, size_t bytes) {
  if (now + bytes > total()) return OUT_OF_MEMORY;
  char *block = mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return OUT_OF_MEMORY;
  *(size_t *)block = bytes;
  pthread_mutex_lock(&lock);
  now += bytes;
  if (now > most) most = now;
  pthread_mutex_unlock(&lock);
  *out = block + PAGE;
  return SUCCESS;
}

static int give(void *pointer) {
  char *block = (char *)pointer - PAGE;
  size_t bytes = *(size_t *)block;
  pthread_mutex_lock(&lock);
  now -= bytes;
  pthread_mutex_unlock(&lock);
  munmap(block, bytes + PAGE);
  return SUCCESS;
}

__attribute__((destructor)) static void report(void) {
  if (modules) fprintf(stderr, "driver without a device: %zu modules, %zu launches, %zu MiB of memory and %zu bytes of shared memory at most\n",
                       modules, launches, most >> 20, most_shared);
}

API cuInit(unsigned flags) { return SUCCESS; }
// NVRTC asks for what is not public, and goes on without it.
API cuGetExportTable(const void **table, const void *id) { return *table = NULL, NOT_FOUND; }
API cuDriverGetVersion(int *version) { return *version = 13050, SUCCESS; }
API cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
API cuDeviceGet(int *device, int ordinal) { return *device = 0, SUCCESS; }
API cuDeviceGetName(char *name, int length, int device) { return snprintf(name, length, "no device"), SUCCESS; }
API cuDeviceGetUuid_v2(char *uuid, int device) { return memset(uuid, 0, 16), SUCCESS; }
API cuDeviceGetPCIBusId(char *id, int length, int device) { return snprintf(id, length, "0000:00:00.0"), SUCCESS; }
API cuDeviceTotalMem_v2(size_t *bytes, int device) { return *bytes = total(), SUCCESS; }

// The CUDA driver API's CUdevice_attribute, and NVIDIA's figures for A100 and H100.
API cuDeviceGetAttribute(int *value, int attribute, int device) {
  const char *named = getenv("DREAMFUSE_SM");
  int sm = named ? atoi(named) : 80;
  switch (attribute) {
    case 1: case 2: case 3: *value = 1024; break; // block: threads, x, y
    case 4: *value = 64; break; // block: z
    case 5: *value = 2147483647; break; // grid
    case 6: case 7: *value = 65535; break;
    case 8: *value = 49152; break; // shared memory of a block
    case 10: *value = 32; break; // warp
    case 12: *value = 65536; break; // registers of a block
    case 16: *value = sm >= 90 ? 132 : 108; break; // multiprocessors
    case 75: *value = sm / 10; break;
    case 76: *value = sm % 10; break;
    case 97: *value = sm >= 90 ? 232448 : 166912; break; // shared memory of a block that opts in
    case 115: *value = 1; break; // memory pools
    default: *value = 0;
  }
  return SUCCESS;
}

API cuDevicePrimaryCtxRetain(void **context, int device) { return *context = handle, SUCCESS; }
API cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }
API cuCtxSetCurrent(void *context) { return SUCCESS; }
API cuCtxGetCurrent(void **context) { return *context = handle, SUCCESS; }
API cuCtxSynchronize(void) { return SUCCESS; }
API cuCtxGetStreamPriorityRange(int *least, int *greatest) { return *least = 0, *greatest = 0, SUCCESS; }

API cuStreamCreate(void **stream, unsigned flags) { return *stream = handle, SUCCESS; }
API cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { return *stream = handle, SUCCESS; }
API cuStreamDestroy_v2(void *stream) { return SUCCESS; }
API cuStreamSynchronize(void *stream) { return SUCCESS; }
API cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return SUCCESS; }

API cuEventCreate(void **event, unsigned flags) { return *event = handle, SUCCESS; }
API cuEventRecord(void *event, void *stream) { return SUCCESS; }
API cuEventSynchronize(void *event) { return SUCCESS; }
API cuEventQuery(void *event) { return SUCCESS; }
API cuEventElapsedTime(float *ms, void *from, void *to) { return *ms = 0.01f, SUCCESS; }
API cuEventElapsedTime_v2(float *ms, void *from, void *to) { return *ms = 0.01f, SUCCESS; }
API cuEventDestroy_v2(void *event) { return SUCCESS; }

API cuMemAlloc_v2(void **pointer, size_t bytes) { return take(pointer, bytes); }
API cuMemAllocAsync(void **pointer, size_t bytes, void *stream) { return take(pointer, bytes); }
API cuMemFree_v2(void *pointer) { return give(pointer); }
API cuMemFreeAsync(void *pointer, void *stream) { return give(pointer); }
API cuMemAllocHost_v2(void **pointer, size_t bytes) { return *pointer = malloc(bytes), *pointer ? SUCCESS : OUT_OF_MEMORY; }
API cuMemFreeHost(void *pointer) { return free(pointer), SUCCESS; }
API cuMemGetInfo_v2(size_t *free, size_t *all) { return *all = total(), *free = *all - now, SUCCESS; }

// What is written to the device is forgotten: its pages stay untouched. What is read are ones, as integers: every ray has a
// sample, so that a step goes on. As floats they are next to zero.
static void ones(void *to, size_t bytes) {
  memset(to, 0, bytes);
  for (size_t i = 0; i + 4 <= bytes; i += 4) ((char *)to)[i] = 1;
}
API cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t bytes, void *stream) { return SUCCESS; }
API cuMemcpyDtoDAsync_v2(void *to, void *from, size_t bytes, void *stream) { return SUCCESS; }
API cuMemcpyDtoHAsync_v2(void *to, void *from, size_t bytes, void *stream) { return ones(to, bytes), SUCCESS; }
API cuMemsetD8Async(void *to, unsigned char value, size_t bytes, void *stream) { return SUCCESS; }

typedef struct {
  size_t src_x, src_y; int src_type; const void *src_host; void *src_device, *src_array; size_t src_pitch;
  size_t dst_x, dst_y; int dst_type; void *dst_host, *dst_device, *dst_array; size_t dst_pitch;
  size_t width, height;
} Copy;
API cuMemcpy2DAsync_v2(const Copy *copy, void *stream) {
  const int host = 1;
  if (copy->dst_type != host) return SUCCESS;
  for (size_t row = 0; row < copy->height; row++) ones((char *)copy->dst_host + row * copy->dst_pitch, copy->width);
  return SUCCESS;
}

// Each kernel's PTX goes to a file in the folder DREAMFUSE_PTX.
API cuModuleLoadData(void **module, const void *image) {
  const char *folder = getenv("DREAMFUSE_PTX");
  char path[4096];
  *module = handle;
  modules++;
  if (!folder) return SUCCESS;
  snprintf(path, sizeof path, "%s/%06zu.ptx", folder, modules);
  FILE *file = fopen(path, "w");
  if (!file || fputs(image, file) < 0 || fclose(file)) return NOT_FOUND;
  return SUCCESS;
}
API cuModuleGetFunction(void **function, void *module, const char *name) { return *function = handle, SUCCESS; }
API cuModuleUnload(void *module) { return SUCCESS; }
API cuFuncSetAttribute(void *function, int attribute, int value) { return SUCCESS; }
API cuFuncGetAttribute(int *value, int attribute, void *function) { return *value = 0, SUCCESS; }
API cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **arguments, void **extra) {
  launches++;
  if (shared > most_shared) most_shared = shared;
  return SUCCESS;
}
API cuTensorMapEncodeTiled(void *map) { return memset(map, 0, 128), SUCCESS; }
API cuTensorMapEncodeIm2col(void *map) { return memset(map, 0, 128), SUCCESS; }
API cuGetErrorName(int error, const char **text) { return *text = "an error of the driver without a device", SUCCESS; }
API cuGetErrorString(int error, const char **text) { return *text = "an error of the driver without a device", SUCCESS; }
