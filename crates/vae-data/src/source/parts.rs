//! `Parts`: examples that are read a part at a time, so that they need not fit into memory.

use crate::error::DataError;
use crate::examples::Examples;

/// Examples that are read in their order, a part at a time.
pub trait Parts {
    /// Reads the next `most` examples. There are fewer only at the end, and `None` after it. `most`
    /// must be at least 1.
    ///
    /// # Errors
    /// If the source cannot be read, or if the part does not fit into memory.
    fn next(&mut self, most: usize) -> Result<Option<Examples>, DataError>;
}

/// Parts of a file that is opened, or why it is not.
pub(super) type Opened = Result<Box<dyn Parts>, DataError>;

/// Reads all examples as one part.
pub(super) fn whole(mut parts: Box<dyn Parts>) -> Result<Examples, DataError> {
    match parts.next(usize::MAX)? {
        Some(examples) => Ok(examples),
        None => {
            unreachable!("a source without examples is refused when it is opened or first read")
        }
    }
}

/// Parts of examples that are in memory.
pub struct InMemory {
    examples: Examples,
    next: usize,
}

impl InMemory {
    /// Gives `examples` from the first one on.
    pub fn new(examples: Examples) -> Self {
        Self { examples, next: 0 }
    }
}

impl Parts for InMemory {
    fn next(&mut self, most: usize) -> Result<Option<Examples>, DataError> {
        let end = self.next.saturating_add(most).min(self.examples.len());
        let indices: Vec<usize> = (self.next..end).collect();
        self.next = end;
        Ok((!indices.is_empty()).then(|| self.examples.select(&indices)))
    }
}

/// Parts of several sources, one after the other. A part may have examples of two.
pub struct Chain {
    /// The sources that are left, the last one first.
    pub left: Vec<Box<dyn Parts>>,
}

impl Parts for Chain {
    fn next(&mut self, most: usize) -> Result<Option<Examples>, DataError> {
        let mut part: Option<Examples> = None;
        while let Some(source) = self.left.last_mut() {
            let missing = most - part.as_ref().map_or(0, Examples::len);
            if missing == 0 {
                break;
            }
            match (source.next(missing)?, &mut part) {
                (Some(more), Some(part)) => part.append(more)?,
                (Some(more), None) => part = Some(more),
                (None, _) => {
                    self.left.pop();
                }
            }
        }
        Ok(part)
    }
}
