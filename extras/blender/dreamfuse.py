"""Blender add-on: text to 3D by the dreamfuse command. A panel in the 3D view's sidebar takes a prompt; the result is
imported at the 3D cursor. Install it by Edit > Preferences > Add-ons > Install from Disk, and set the command's path."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import bpy

bl_info = {
    "name": "dreamfuse",
    "author": "the dreamfuse authors",
    "version": (0, 1, 0),
    "blender": (4, 2, 0),
    "location": "View3D > Sidebar > dreamfuse",
    "description": "Text to 3D by score distillation",
    "category": "Add Mesh",
}

EVERY_SECONDS = 0.5


def command():
    """The command's path: that of the preferences, or the one of the system."""
    addon = bpy.context.preferences.addons.get(__name__)
    given = addon.preferences.command if addon else ""
    return bpy.path.abspath(given) if given else shutil.which("dreamfuse") or "dreamfuse"


class Run:
    """A run of the command, followed by the events that it logs."""

    def __init__(self, prompt, steps, seed):
        self.steps, self.step = steps, 0
        self.folder = Path(tempfile.mkdtemp(prefix="dreamfuse-"))
        self.out = self.folder / "run"
        self.read = 0
        self.log = open(self.folder / "log.txt", "wb")
        arguments = [command(), "--prompt", prompt, "--steps", str(steps), "--seed", str(seed), "--out", str(self.out)]
        self.process = subprocess.Popen(arguments, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def follow(self):
        """Reads new events; the part that is done, 0 to 1."""
        path = self.out / "events.jsonl"
        if path.exists():
            with open(path, "rb") as events:
                events.seek(self.read)
                for line in events:
                    if not line.endswith(b"\n"):
                        break  # it is still being written
                    self.read += len(line)
                    event = json.loads(line)
                    if event["event"] == "step":
                        self.step = event["step"]
        return self.step / self.steps

    def is_over(self):
        return self.process.poll() is not None

    def error(self):
        """The command's line, if it failed."""
        if self.process.returncode == 0:
            return None
        self.log.flush()
        lines = (self.folder / "log.txt").read_text(errors="replace").splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or ["dreamfuse ended without a word"])[-1]

    def mesh(self):
        return self.out / "mesh.glb"

    def cancel(self):
        if not self.is_over():
            self.process.send_signal(signal.SIGTERM if os.name == "posix" else signal.CTRL_BREAK_EVENT)
            self.process.wait()

    def close(self):
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def place(path, location):
    """Imports a mesh and moves it; the new objects."""
    before = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=str(path))
    new = [thing for thing in bpy.data.objects if thing not in before]
    for thing in new:
        if thing.parent is None:
            thing.location = location
    return new


class Preferences(bpy.types.AddonPreferences):
    bl_idname = __name__
    command: bpy.props.StringProperty(name="Command", subtype="FILE_PATH", description="Path of dreamfuse")

    def draw(self, context):
        self.layout.prop(self, "command")


class Settings(bpy.types.PropertyGroup):
    prompt: bpy.props.StringProperty(name="Prompt", default="a red mushroom")
    steps: bpy.props.IntProperty(name="Steps", default=800, min=1, max=1_000_000)
    seed: bpy.props.IntProperty(name="Seed", default=0, min=0)
    progress: bpy.props.FloatProperty(name="Progress", min=0, max=1)
    is_running: bpy.props.BoolProperty()
    is_cancelled: bpy.props.BoolProperty()


class Generate(bpy.types.Operator):
    """Make the prompt's object at the 3D cursor"""

    bl_idname = "dreamfuse.generate"
    bl_label = "Generate"
    bl_options = {"REGISTER", "UNDO"}

    def invoke(self, context, event):
        settings = context.scene.dreamfuse
        if not self.start(settings):
            return {"CANCELLED"}
        self.timer = context.window_manager.event_timer_add(EVERY_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        """Without a window, as scripts call it: waits for the end."""
        settings = context.scene.dreamfuse
        if not self.start(settings):
            return {"CANCELLED"}
        self.run.process.wait()
        return self.finish(context)

    def start(self, settings):
        try:
            self.run = Run(settings.prompt, settings.steps, settings.seed)
        except OSError as error:
            self.report({"ERROR"}, f"cannot start {command()}: {error.strerror}")
            return False
        settings.is_running, settings.is_cancelled, settings.progress = True, False, 0
        return True

    def modal(self, context, event):
        settings = context.scene.dreamfuse
        if event.type == "ESC" or settings.is_cancelled:
            self.run.cancel()
            return self.end(context, {"CANCELLED"})
        if event.type == "TIMER":
            settings.progress = self.run.follow()
            for area in context.screen.areas:
                area.tag_redraw()
            if self.run.is_over():
                return self.finish(context)
        return {"PASS_THROUGH"}

    def finish(self, context):
        error = self.run.error()
        if error:
            self.report({"ERROR"}, error)
            return self.end(context, {"CANCELLED"})
        self.run.follow()
        place(self.run.mesh(), context.scene.cursor.location)
        return self.end(context, {"FINISHED"})

    def end(self, context, result):
        settings = context.scene.dreamfuse
        settings.is_running = False
        settings.progress = self.run.step / self.run.steps
        if getattr(self, "timer", None):
            context.window_manager.event_timer_remove(self.timer)
        self.run.close()
        return result


class Cancel(bpy.types.Operator):
    """Stop the run"""

    bl_idname = "dreamfuse.cancel"
    bl_label = "Cancel"

    def execute(self, context):
        context.scene.dreamfuse.is_cancelled = True
        return {"FINISHED"}


class Panel(bpy.types.Panel):
    bl_idname = "VIEW3D_PT_dreamfuse"
    bl_label = "dreamfuse"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "dreamfuse"

    def draw(self, context):
        settings, layout = context.scene.dreamfuse, self.layout
        for name in ("prompt", "steps", "seed"):
            layout.prop(settings, name)
        if settings.is_running:
            layout.progress(factor=settings.progress, text=f"{settings.progress:.0%}")
            layout.operator("dreamfuse.cancel")
        else:
            layout.operator("dreamfuse.generate")


CLASSES = (Preferences, Settings, Generate, Cancel, Panel)


def register():
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.dreamfuse = bpy.props.PointerProperty(type=Settings)


def unregister():
    del bpy.types.Scene.dreamfuse
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)


if __name__ == "__main__":
    register()
