#!/usr/bin/env bash
# A real Slurm on this machine, with two fake GPUs: slurm.sh DREAMFUSE. An array of 12 runs, of which one is requeued by hand,
# one reaches its time limit, one is killed, and slurmd is restarted: 12 results, with the bytes of undisturbed runs.
# Needs root, on a Debian; installs Slurm.
set -euo pipefail
dreamfuse=$(realpath "$1") here=$(realpath "$(dirname "$0")")
work=$(mktemp -d) host=$(hostname -s)
stop() {
  pkill -F "$work/ctld.pid" 2> /dev/null || true
  pkill -F "$work/d.pid" 2> /dev/null || true
  pkill -F "$work/munged.pid" 2> /dev/null || true
  sleep 1; rm -rf "$work"
}
trap stop EXIT

if ! command -v slurmd > /dev/null || ! command -v munged > /dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    slurmctld slurmd slurm-client munge > /dev/null
fi

mkdir "$work/munge" "$work/state" "$work/spool" && chmod 755 "$work"
head -c 1024 /dev/urandom > "$work/munge/key" && chmod 600 "$work/munge/key"
touch "$work/gpu0" "$work/gpu1"
cat > "$work/slurm.conf" << END
ClusterName=trial
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5,socket=$work/munge/socket
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
ReturnToService=2
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/ctld.pid
SlurmdPidFile=$work/d.pid
SlurmctldLogFile=$work/ctld.log
SlurmdLogFile=$work/d.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
KillWait=10
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
END
printf 'AutoDetect=off\nNodeName=%s Name=gpu File=%s/gpu[0-1]\n' "$host" "$work" > "$work/gres.conf"
echo "CgroupAutomount=no" > "$work/cgroup.conf"
export SLURM_CONF=$work/slurm.conf
munged --force --key-file "$work/munge/key" --socket "$work/munge/socket" --pid-file "$work/munged.pid" \
  --log-file "$work/munge/log" --seed-file "$work/munge/seed"
slurmctld -c 2> "$work/ctld.err"
slurmd -c 2> "$work/d.err"
for _ in $(seq 60); do sinfo -h -o %T 2> /dev/null | grep -q idle && break; sleep 0.5; done
sinfo -h -o "%N %T %G"

cd "$work"
{
  echo "prompt,seed,steps"
  for seed in $(seq 0 8); do echo "a red car,$seed,20"; done
  echo "a golden teapot,0,${LONG:-1200}" # at its time limit before it is done
  echo "a robot,0,400"                 # requeued by hand
  echo "a blue cup,0,400"              # killed
} > prompts.csv
plan() { "$dreamfuse" batch plan prompts.csv --out "$1" --config "$here/small.toml" > /dev/null; }
plan runs; plan undisturbed
# What is to be disturbed begins first: the tasks that are long have the last indices.
"$dreamfuse" cluster slurm runs --gpus 1 --cpus 1 --time 1 --sbatch=--nice=0 > /dev/null
start=$SECONDS
id=$(sbatch --parsable runs/slurm/array.sh)
key() { sed -n "$(($1 + 1))p" runs/plan.jsonl | sed 's/.*"key":"\([0-9a-f]*\)".*/\1/'; }
await() { for _ in $(seq 900); do eval "$1" && return; sleep 0.2; done; echo "timed out: $1"; squeue; return 1; }
await "[ -s runs/$(key 10)/attempts.jsonl ]"; sleep 1
scontrol requeue "${id}_10" && echo "requeued ${id}_10 by hand"
await "[ -s runs/$(key 11)/attempts.jsonl ]"; sleep 1
pid=$(sed -n 's/.*"process":"process \([0-9]*\) .*/\1/p' "runs/$(key 11)/attempts.jsonl" | tail -1)
kill -KILL "$pid" && echo "killed process $pid of ${id}_11"
# Not while the killed task is started again: Slurm takes that for a duplicate, and drains the node.
await "[ \$(grep -c began runs/$(key 11)/attempts.jsonl) -ge 2 ]"; sleep 1
pkill -F "$work/d.pid"; sleep 2; slurmd 2>> "$work/d.err"; echo "restarted slurmd"
"$dreamfuse" batch run undisturbed --all > undisturbed.log 2>&1
await "! squeue -h -j $id 2> /dev/null | grep -q ." || { tail runs/logs/*; exit 1; }
"$dreamfuse" batch status runs
for index in $(seq 0 11); do
  cmp "runs/$(key "$index")/mesh.glb" "undisturbed/$(key "$index")/mesh.glb"
done
for index in 9 10 11; do
  attempts=$(grep -c began "runs/$(key "$index")/attempts.jsonl")
  [ "$attempts" -ge 2 ] || { echo "task $index was not disturbed"; cat "runs/$(key "$index")/attempts.jsonl"; exit 1; }
  echo "task $index: $attempts attempts"
done
grep -q '"code":75' "runs/$(key 9)/attempts.jsonl" || { echo "task 9 did not save at its time limit"; exit 1; }
echo "Slurm $(sinfo --version | cut -d' ' -f2): 12 results, the bytes of undisturbed runs, $((SECONDS - start)) s"
