//! A cluster on one machine: nodes, pods and an outside world out of namespaces, from one TOML.
