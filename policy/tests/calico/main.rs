//! What Calico's policies do to traffic: each test is a claim about manifests.

mod ends;
mod sets;
mod tiers;
mod traffic;
mod world;
