//! State by its names, for checkpoints: one description serves for saving and loading.

/// What visits the parts of a state. One that saves looks at them; one that loads replaces them.
pub trait StateVisitor {
    /// Values, of which there are as many in every state.
    fn floats(&mut self, name: &str, values: &mut Vec<f32>);
    /// Flags, of which there are as many in every state.
    fn flags(&mut self, name: &str, values: &mut Vec<bool>);
    fn counter(&mut self, name: &str, value: &mut u64);
}

/// What a checkpoint holds of it.
pub trait Stateful {
    /// Shows each part to the visitor, by a name that never changes.
    fn visit(&mut self, visitor: &mut dyn StateVisitor);
}
