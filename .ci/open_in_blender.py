"""Opens a run's meshes in Blender: all have to lie alike and show their texture. Arguments: the run's folder, a folder in
which the colours say where each vertex is (examples/landmarks.rs), so that "alike" is the right way up, and the prompt."""

import sys
from pathlib import Path

import bpy


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


def linear(srgb):
    return srgb / 12.92 if srgb <= 0.04045 else ((srgb + 0.055) / 1.055) ** 2.4


run, landmarks = map(Path, sys.argv[1:3])
places, colors = check_landmarks(landmarks)
told = [tuple(linear(0.5 + 0.5 * coordinate) for coordinate in place) for place in places]
assert apart(colors, told) < 0.02, "the vertices are not where their colours say: the mesh lies another way"
size = check_run(run, sys.argv[3])
print(f"Blender {bpy.app.version_string}: GLB, PLY, OBJ and STL alike, upright, textured {size[0]} x {size[1]}")
