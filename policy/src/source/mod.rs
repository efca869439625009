//! Sources: where the model comes from. Each dialect has a reader here that turns it into
//! [`crate::model`] types; nothing behind the model knows which one was read.

pub mod selector;
pub mod yaml;
