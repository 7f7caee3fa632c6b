//! `dreamfuse check-mesh FILE`.

use crate::cli::CheckMeshArgs;
use dreamfuse_batch::Exit;
use dreamfuse_mesh::{Checked, Verdict, check, read};
use std::process::ExitCode;

/// Reads a mesh, says what it is like, and ends with 65 if something is wrong with it.
pub fn run(args: &CheckMeshArgs) -> anyhow::Result<ExitCode> {
    let checked = check(&read(&args.file)?);
    if args.json {
        tell!("{}", serde_json::to_string_pretty(&checked)?);
    } else {
        tell!("{}", table(&checked));
    }
    Ok(match checked.verdict() {
        Verdict::Sound => Exit::Done.into(),
        Verdict::Flawed => Exit::BadInput.into(),
    })
}

fn table(checked: &Checked) -> String {
    let [low, high] = checked.bounds;
    let side = |axis: usize| high[axis] - low[axis];
    let yes = |is: bool| if is { "yes" } else { "no" };
    let mut lines = vec![
        format!("triangles           {}", checked.triangles),
        format!("vertices            {}", checked.vertices),
        format!("components          {}", checked.components),
        format!("open edges          {}", checked.boundary_edges),
        format!("bad edges           {}", checked.bad_edges),
        format!("degenerate          {}", checked.degenerate_triangles),
        format!("self-intersections  {}", checked.self_intersections),
        format!(
            "size                {:.4} × {:.4} × {:.4}",
            side(0),
            side(1),
            side(2)
        ),
        format!("volume              {:.5}", checked.volume),
    ];
    if let Some(wall) = checked.thinnest_wall {
        lines.push(format!("thin walls          {wall:.4}"));
    }
    if let Some(uvs) = &checked.uvs {
        lines.push(format!(
            "texture coordinates cover {:.0} %, {} texels overlap, stretch {:.2}",
            100.0 * uvs.coverage,
            uvs.overlapping_texels,
            uvs.stretch
        ));
    }
    let texture = checked
        .texture
        .map_or("none".into(), |[w, h]| format!("{w} × {h}"));
    lines.push(format!("texture             {texture}"));
    lines.push(format!(
        "material            {}, colours at vertices: {}",
        yes(checked.has_material),
        yes(checked.has_colors)
    ));
    match checked.verdict() {
        Verdict::Sound => lines.push("sound".into()),
        Verdict::Flawed => lines.extend(
            checked
                .problems
                .iter()
                .map(|problem| format!("flaw: {problem}")),
        ),
    }
    lines.join("\n")
}
