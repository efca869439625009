//! Cost of the data plane alone and throughput of the whole against its peers.
