//! Which block a node asks for first: Calico's choice, a function of the node's name and the pool.
//!
//! Source: `libcalico-go/lib/ipam/ipam_block_reader_writer.go` of Calico. The index of the first
//! block is `big.Int.Rand(number of blocks)` of a generator seeded with the FNV-1 hash of the node's
//! name; from there the blocks are walked upwards, wrapping round, until one is free.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::gorand::GoRand;

/// FNV-1 (multiply, then xor; not FNV-1a), 32 bits.
fn fnv1(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| hash.wrapping_mul(16_777_619) ^ u32::from(*byte);
    bytes.iter().fold(2_166_136_261, step)
}

/// How many blocks of `block_size` a pool has.
fn block_count(pool: Ipv4Net, block_size: u8) -> u64 {
    1 << block_size.saturating_sub(pool.prefix_len())
}

/// Index of the block that `node` tries first. (For /32 blocks Calico seeds with the clock; here
/// they follow the name too, so that every node computes the same.)
#[must_use]
pub fn first_index(node: &str, pool: Ipv4Net, block_size: u8) -> u64 {
    let count = block_count(pool, block_size);
    let mask = u64::MAX >> count.leading_zeros();
    let mut random = GoRand::new(fnv1(node.as_bytes()));
    loop {
        let low = u64::from(random.next_u32());
        let index = (low | u64::from(random.next_u32()) << 32) & mask;
        if index < count {
            return index;
        }
    }
}

/// Every block of the pool in the order `node` tries them.
pub fn blocks_in_order(
    node: &str,
    pool: Ipv4Net,
    block_size: u8,
) -> impl Iterator<Item = Ipv4Net> + use<> {
    let count = block_count(pool, block_size);
    let first = first_index(node, pool, block_size);
    (0..count).map(move |step| nth_block(pool, block_size, (first + step) % count))
}

fn nth_block(pool: Ipv4Net, block_size: u8, index: u64) -> Ipv4Net {
    let size = 1u64 << (32 - block_size);
    let base = u64::from(u32::from(pool.network()));
    let address = u32::try_from(base + index * size).unwrap_or(u32::MAX); // inside the pool
    Ipv4Net::new_assert(Ipv4Addr::from(address), block_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(node: &str, pool: &str) -> (u64, String) {
        let pool = pool.parse().unwrap();
        let block = blocks_in_order(node, pool, 26).next().unwrap();
        (first_index(node, pool, 26), block.to_string())
    }

    #[test]
    fn the_blocks_of_the_walk_through_follow_from_the_names() {
        let pool = "10.244.0.0/16";
        assert_eq!(pick("minikube", pool), (481, "10.244.120.64/26".into()));
        assert_eq!(
            pick("minikube-m02", pool),
            (823, "10.244.205.192/26".into())
        );
        assert_eq!(pick("minikube-m03", pool), (604, "10.244.151.0/26".into()));
    }

    #[test]
    fn further_vectors_agree_with_calico() {
        let pool = "192.168.0.0/16";
        assert_eq!(pick("kind-control-plane", pool).0, 328);
        assert_eq!(pick("kind-worker", pool).0, 650);
        assert_eq!(pick("node1", pool), (666, "192.168.166.128/26".into()));
        assert_eq!(pick("node2", pool).0, 416);
    }

    #[test]
    fn the_walk_wraps_and_visits_every_block_once() {
        let pool: Ipv4Net = "10.244.0.0/24".parse().unwrap();
        let mut blocks: Vec<Ipv4Net> = blocks_in_order("minikube", pool, 26).collect();
        let successor = |block: &Ipv4Net| u32::from(block.network()).wrapping_add(64) & 0xff;
        for pair in blocks.windows(2) {
            assert_eq!(successor(&pair[0]), u32::from(pair[1].network()) & 0xff);
        }
        blocks.sort();
        blocks.dedup();
        assert_eq!(blocks.len(), 4);
    }

    #[test]
    fn a_pool_of_one_block_has_one_choice() {
        let pool = "10.9.8.64/26".parse().unwrap();
        assert_eq!(first_index("anything", pool, 26), 0);
    }
}
