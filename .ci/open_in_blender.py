"""Opens a run's meshes in Blender: all have to lie alike and show their texture. Arguments: the run's folder, a folder in
which the colours say where each vertex is (examples/landmarks.rs), so that "alike" is the right way up, and the prompt. At last
Cycles draws the first of the run's views, lit as there, and says how near it comes."""

import math
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector


def load(importer, path):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    importer(filepath=str(path))
    meshes = [thing for thing in bpy.context.scene.objects if thing.type == "MESH"]
    assert len(meshes) == 1, f"{path}: {len(meshes)} meshes"
    return meshes[0]


def describe(thing):
    """Per vertex: position in the world, and linear colour. The glTF importer keeps colours at face corners."""
    mesh, attribute = thing.data, thing.data.color_attributes[0]
    places = [tuple(thing.matrix_world @ vertex.co) for vertex in mesh.vertices]
    colors = [None] * len(places)
    owners = range(len(places)) if attribute.domain == "POINT" else [loop.vertex_index for loop in mesh.loops]
    for vertex, entry in zip(owners, attribute.data):
        colors[vertex] = tuple(entry.color)[:3]
    return places, colors


def apart(a, b):
    return max(abs(x - y) for left, right in zip(a, b) for x, y in zip(left, right))


def check_landmarks(folder):
    """The vertices and colours that both files have."""
    glb = load(bpy.ops.import_scene.gltf, folder / "mesh.glb")
    nodes = [node.type for slot in glb.material_slots for node in slot.material.node_tree.nodes]
    assert "VERTEX_COLOR" in nodes, f"the material does not show the vertex colours: {nodes}"
    places, colors = describe(glb)
    ply_places, ply_colors = describe(load(bpy.ops.wm.ply_import, folder / "mesh.ply"))
    assert len(places) == len(ply_places) > 100, (len(places), len(ply_places))
    assert apart(places, ply_places) < 1e-4, "GLB and PLY lie differently"
    assert apart(colors, ply_colors) < 0.02, "GLB and PLY have different colours"
    return places, colors


def box(thing):
    """The lowest and the highest corner."""
    places = [tuple(thing.matrix_world @ vertex.co) for vertex in thing.data.vertices]
    return [tuple(pick(place[axis] for place in places) for axis in range(3)) for pick in (min, max)]


def texture(thing):
    """The image that the material shows."""
    nodes = [node for slot in thing.material_slots for node in slot.material.node_tree.nodes]
    images = [node.image for node in nodes if node.type == "TEX_IMAGE"]
    assert len(images) == 1, f"{thing.name}: {len(images)} textures"
    assert thing.data.uv_layers, f"{thing.name} has no texture coordinates"
    return images[0]


def check_run(folder, prompt):
    """All formats have one box, on the floor; GLB and OBJ one texture; the names are those of the prompt."""
    glb = load(bpy.ops.import_scene.gltf, folder / "mesh.glb")
    low, high = box(glb)
    assert abs(low[2]) < 1e-5, f"the lowest point is at {low[2]}"
    assert prompt[:20] in glb.name, f"the object is called {glb.name!r}"
    image = texture(glb)
    size, pixels = tuple(image.size), list(image.pixels[:4000])
    for importer, name in ((bpy.ops.wm.ply_import, "mesh.ply"), (bpy.ops.wm.obj_import, "mesh.obj")):
        thing = load(importer, folder / name)
        assert apart((low, high), box(thing)) < 1e-4, f"{name} lies otherwise: {box(thing)}"
    obj = load(bpy.ops.wm.obj_import, folder / "mesh.obj")
    other = texture(obj)
    assert tuple(other.size) == size and list(other.pixels[:4000]) == pixels, "GLB and OBJ have different textures"
    stl_low, stl_high = box(load(bpy.ops.wm.stl_import, folder / "mesh.stl"))
    sides, stl = [[b - a for a, b in zip(*pair)] for pair in ((low, high), (stl_low, stl_high))]
    assert abs(max(stl) - 100) < 1e-3, f"the longest side of the STL is {max(stl)} mm"
    assert all(abs(a / max(sides) - b / 100) < 1e-4 for a, b in zip(sides, stl)), (sides, stl)
    return size


# Of views.png: its tiles and what is around them, the cameras' elevation, and the middle of the default ranges of distance and field of view.
TILE, GAP, VIEWS = 160, 2, 8
ELEVATION, DISTANCE, FOV = 0.3, 2.9, math.radians(38)
MARGIN, GREY = 1.08, 0.75


def axes(azimuth):
    """Right, up and forward of a camera, which looks at the origin."""
    sin_a, cos_a, sin_e, cos_e = math.sin(azimuth), math.cos(azimuth), math.sin(ELEVATION), math.cos(ELEVATION)
    forward = np.array([-sin_a * cos_e, cos_a * cos_e, -sin_e])
    right = np.array([cos_a, sin_a, 0.0])
    return right, np.cross(right, forward), forward


def projected(points, azimuth):
    """In parts of half the field of view, y downwards."""
    right, up, forward = axes(azimuth)
    local = points + DISTANCE * forward
    half = (local @ forward) * math.tan(0.5 * FOV)
    return np.stack([local @ right / half, -(local @ up) / half], 1)


def window(points):
    """The centre and the scale of the views, which hold the mesh with a margin."""
    places = np.concatenate([projected(points, 2 * math.pi * i / VIEWS) for i in range(VIEWS)])
    top, bottom = places[:, 1].min(), places[:, 1].max()
    return 0.5 * (top + bottom), MARGIN * max(np.abs(places[:, 0]).max(), 0.5 * (bottom - top))


def pixels_of(path):
    """Rows from the top, as they are stored, in [0, 1]."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    values = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], -1)
    return values[::-1, :, :3]


def height(points, tile):
    """By how much the mesh, which stands on the floor, was lowered for its views: its vertices cover their silhouettes then."""
    shown = np.abs(tile - GREY).max(2) > 0.02

    def agreement(by):
        moved = points - [0, 0, by]
        center, scale = window(moved)
        place = (projected(moved, 0) - [0, center]) / scale
        cell = ((0.5 + 0.5 * place) * TILE).astype(int).clip(0, TILE - 1)
        covered = np.zeros_like(shown)
        covered[cell[:, 1], cell[:, 0]] = True
        return (covered & shown).sum() / (covered | shown).sum()

    return max(np.arange(0, 1.2, 0.005), key=agreement)


def light_up(thing, light):
    """The texture as it is stored, times the headlight's irradiance: 0.4 and 0.6 by Lambert's law."""
    for slot in thing.material_slots:
        tree = slot.material.node_tree
        image = next(node for node in tree.nodes if node.type == "TEX_IMAGE")
        image.image.colorspace_settings.name = "Non-Color"
        place = tree.nodes.new("ShaderNodeNewGeometry")

        def vector(operation, *inputs):
            node = tree.nodes.new("ShaderNodeVectorMath")
            node.operation = operation
            for socket, given in zip(node.inputs, inputs):
                if hasattr(given, "links"):
                    tree.links.new(given, socket)
                else:
                    socket.default_value = given
            return node.outputs["Value" if operation == "DOT_PRODUCT" else "Vector"]

        towards = vector("NORMALIZE", vector("SUBTRACT", light, place.outputs["Position"]))
        cosine = vector("DOT_PRODUCT", towards, place.outputs["Normal"])
        lit = tree.nodes.new("ShaderNodeMapRange")  # clamped
        tree.links.new(cosine, lit.inputs["Value"])
        lit.inputs["To Min"].default_value, lit.inputs["To Max"].default_value = 0.4, 1.0
        emission = tree.nodes.new("ShaderNodeEmission")
        tree.links.new(image.outputs["Color"], emission.inputs["Color"])
        tree.links.new(lit.outputs["Result"], emission.inputs["Strength"])
        output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
        tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])


def set_up_camera(center, scale):
    right, up, forward = axes(0)
    camera = bpy.data.cameras.new("view")
    camera.angle = 2 * math.atan(scale * math.tan(0.5 * FOV))
    camera.shift_y = -center / (2 * scale)
    thing = bpy.data.objects.new("view", camera)
    columns = [Vector(right), Vector(up), Vector(-forward)]
    thing.matrix_world = Matrix.Translation(Vector(-DISTANCE * forward)) @ Matrix(columns).transposed().to_4x4()
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.scene.camera = thing


def set_up_cycles(path):
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("grey")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (GREY, GREY, GREY, 1)
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 16
    scene.cycles.use_denoising = False
    scene.render.resolution_x = scene.render.resolution_y = TILE
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(path)


def check_cycles(folder):
    """The decibels between Cycles' picture of the GLB and the first tile of views.png."""
    tile = pixels_of(folder / "views.png")[GAP : GAP + TILE, GAP : GAP + TILE]
    thing = load(bpy.ops.import_scene.gltf, folder / "mesh.glb")
    points = np.array([thing.matrix_world @ vertex.co for vertex in thing.data.vertices])
    by = height(points, tile)
    thing.matrix_world = Matrix.Translation((0, 0, -by)) @ thing.matrix_world
    center, scale = window(points - [0, 0, by])
    right, up, forward = axes(0)
    light_up(thing, tuple(DISTANCE * (0.5 * up - 0.35 * right - forward)))
    set_up_camera(center, scale)
    with tempfile.TemporaryDirectory() as work:
        set_up_cycles(Path(work) / "cycles.png")
        bpy.ops.render.render(write_still=True)
        drawn = pixels_of(Path(work) / "cycles.png")
    decibels = -10 * math.log10(np.mean((drawn - tile) ** 2))
    assert decibels > 27, f"Cycles draws the mesh {decibels:.1f} dB from the run's own view"
    return decibels


def linear(srgb):
    return srgb / 12.92 if srgb <= 0.04045 else ((srgb + 0.055) / 1.055) ** 2.4


run, landmarks = map(Path, sys.argv[1:3])
places, colors = check_landmarks(landmarks)
told = [tuple(linear(0.5 + 0.5 * coordinate) for coordinate in place) for place in places]
assert apart(colors, told) < 0.02, "the vertices are not where their colours say: the mesh lies another way"
size = check_run(run, sys.argv[3])
decibels = check_cycles(run)
print(f"Cycles draws the front {decibels:.1f} dB from the run's own view")
print(f"Blender {bpy.app.version_string}: GLB, PLY, OBJ and STL alike, upright, textured {size[0]} x {size[1]}")
