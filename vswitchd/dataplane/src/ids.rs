//! Ids are newtypes; tables refer to each other by index.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// The id as an index into its table.
            #[inline]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A port of the switch. Stable for as long as the port lives.
    PortId(u16)
}
id! {
    /// An entry of the snapshot's adjacency table. Means something only
    /// together with the generation of that snapshot.
    AdjacencyId(u32)
}
id! {
    /// An entry of the snapshot's peer table.
    PeerId(u16)
}
id! {
    /// A forwarding worker, counted from 0.
    WorkerId(u16)
}
id! {
    /// Which snapshot something was decided under. Grows by one a publication;
    /// 0 is never published and means "not decided yet".
    Generation(u32)
}

impl PeerId {
    /// No peer: the packet came by no tunnel.
    pub const NONE: Self = Self(u16::MAX);
}
