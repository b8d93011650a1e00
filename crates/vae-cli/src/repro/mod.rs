//! The protocols of papers: what a finished one says, and the table of all that are finished.
//!
//! ```text
//! result  the figure of a protocol beside the paper's, and the verdict
//! table   results as rows of Markdown, in a document that is kept
//! ```

pub mod result;
pub mod table;
