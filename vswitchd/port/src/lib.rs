//! Devices: packet sockets, tuntap, memory. The only unsafe code of the project, under src/sys.
