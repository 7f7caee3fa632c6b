"""The Blender add-on with the real command: an object at the 3D cursor, and one line when it fails. Argument: the command."""

import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "extras/blender"))
os.environ["PATH"] = f"{Path(sys.argv[1]).resolve().parent}:{os.environ['PATH']}"
import dreamfuse  # noqa: E402

bpy.ops.wm.read_factory_settings(use_empty=True)
dreamfuse.register()
scene = bpy.context.scene
settings = scene.dreamfuse
scene.cursor.location = (1, 2, 3)
settings.prompt, settings.steps, settings.seed = "a red mushroom", 5, 1
assert bpy.ops.dreamfuse.generate() == {"FINISHED"}
meshes = [thing for thing in bpy.data.objects if thing.type == "MESH"]
assert len(meshes) == 1, f"{len(meshes)} meshes"
corners = [meshes[0].matrix_world @ vertex.co for vertex in meshes[0].data.vertices]
assert abs(min(corner.z for corner in corners) - 3) < 1e-3, "it does not stand on the cursor"
assert abs(settings.progress - 1) < 1e-6, f"the events told {settings.progress}"
assert not settings.is_running

settings.prompt = "a samurai riding a motorcycle"
try:
    bpy.ops.dreamfuse.generate()
except RuntimeError as error:
    assert "error: " in str(error) and "\n" not in str(error).strip(), error
else:
    raise AssertionError("a prompt that is refused made no error")

# A run that is cancelled ends within seconds and leaves nothing.
run = dreamfuse.Run("a red mushroom", 100_000, 0)
while run.follow() == 0:
    assert not run.is_over(), run.error()
run.cancel()
assert run.process.returncode == 75, run.process.returncode
run.close()
assert not run.folder.exists()
dreamfuse.unregister()
print("the add-on makes an object at the cursor, tells errors, and cancels")
