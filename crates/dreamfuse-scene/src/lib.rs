//! dreamfuse-scene
