//! Who a client is: User Names and Passwords, checked on threads of their own. A good hash takes long on purpose, so no
//! shard may compute one.

mod hash;
mod queue;
mod verifier;

pub(crate) use queue::{Login, Origin, Pending};
pub(crate) use verifier::Verifier;
