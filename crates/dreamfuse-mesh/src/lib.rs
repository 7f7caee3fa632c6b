//! dreamfuse-mesh
