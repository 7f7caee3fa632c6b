//! dreamfuse-distill
