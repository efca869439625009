//! The kernel host network as blocking calls: namespaces, links, addresses, routes, neighbours.
