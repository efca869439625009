//! What the fuzz targets do with their bytes, and `tests/replay.rs` with every file of `tests/corpus`.
//!
//! Each function takes anything and must neither panic nor break the claim its assertions make.
#![allow(dead_code, reason = "a fuzz target uses one function of it")]

use std::path::Path;

/// A fuzz target: takes any bytes, panics if a claim is broken.
pub(crate) type Target = fn(&[u8]);

/// Every target, by the name of its corpus folder.
pub(crate) const TARGETS: [(&str, Target); 2] = [("config", config), ("lab", lab)];

/// The daemon's TOML: every mistake has a place in the text; what is accepted fits together.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match vswitchd::config::parse(Path::new("input.toml"), text) {
        Err(errors) => {
            assert!(!errors.0.is_empty());
            let lines = text.matches('\n').count() + 1;
            for error in &errors.0 {
                assert!((1..=lines).contains(&error.line), "{error}");
                assert!(error.column >= 1 && !error.key.is_empty(), "{error}");
                assert!(error.to_string().starts_with("input.toml:"));
            }
        }
        Ok(config) => {
            assert!(config.workers >= 1 && !config.pools.is_empty());
            let theirs = config.peers.iter().flat_map(|peer| &peer.blocks);
            for block in config.blocks.iter().chain(theirs) {
                let pool = config.pool_of(block.network());
                assert_eq!(pool.map(|pool| pool.block_size), Some(block.prefix_len()));
            }
        }
    }
}

/// The lab's TOML: an error names the file; every pod has its node.
pub(crate) fn lab(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match lab::config::Config::parse("input.toml", text) {
        Err(error) => assert!(error.to_string().starts_with("input.toml")),
        Ok(config) => {
            let known = |name: &str| config.nodes.iter().any(|node| node.name == name);
            assert!(config.pods.iter().all(|pod| known(&pod.node)));
        }
    }
}
