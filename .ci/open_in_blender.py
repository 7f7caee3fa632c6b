"""Opens GLB and PLY in Blender: both have to lie alike and show their colours. Arguments: a run's folder, and a folder
in which the colours say where each vertex is (examples/landmarks.rs), so that "alike" is the right way up."""

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


def check(folder):
    """The vertices and colours that both files have."""
    glb = load(bpy.ops.import_scene.gltf, folder / "mesh.glb")
    nodes = [node.type for slot in glb.material_slots for node in slot.material.node_tree.nodes]
    assert "VERTEX_COLOR" in nodes, f"the material does not show the vertex colours: {nodes}"
    places, colors = describe(glb)
    ply_places, ply_colors = describe(load(bpy.ops.wm.ply_import, folder / "mesh.ply"))
    assert len(places) == len(ply_places) > 100, (len(places), len(ply_places))
    assert apart(places, ply_places) < 1e-4, "GLB and PLY lie differently"
    assert apart(colors, ply_colors) < 0.02, "GLB and PLY have different colours"
    assert max(max(color) for color in colors) > 0.01, "the mesh is black"
    return places, colors


def linear(srgb):
    return srgb / 12.92 if srgb <= 0.04045 else ((srgb + 0.055) / 1.055) ** 2.4


run, landmarks = map(Path, sys.argv[1:])
places, colors = check(landmarks)
told = [tuple(linear(0.5 + 0.5 * coordinate) for coordinate in place) for place in places]
assert apart(colors, told) < 0.02, "the vertices are not where their colours say: the mesh lies another way"
places, colors = check(run)
print(f"Blender {bpy.app.version_string}: {len(places)} vertices, alike in both, upright, coloured")
