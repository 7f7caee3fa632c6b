//! dreamfuse-eval
