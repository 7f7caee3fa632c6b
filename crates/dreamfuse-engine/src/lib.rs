//! dreamfuse-engine
