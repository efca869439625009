//! The numbered traps of Kubernetes NetworkPolicy, as claims.
//!
//! The numbers are those of the project's list of known traps. Not here, because no verdict can
//! show them: 33, 34, 36 and 38 need flow state and 40 a device; the data plane tests those.

mod blocks;
mod endpoints;
mod peers;
mod policy_types;
mod ports;
mod world;
