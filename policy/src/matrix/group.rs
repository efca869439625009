//! Ends that nobody can tell apart.

/// Groups the numbers from 0 to `count`: two are in one group when they relate to everybody else,
/// and to each other, in the same way. `cell(a, b)` says how a relates to b. Groups and members are
/// in order.
///
/// Cost: about `count` x the number of groups x `count`.
pub(crate) fn groups<C: PartialEq>(
    count: usize,
    cell: impl Fn(usize, usize) -> C,
) -> Vec<Vec<usize>> {
    let alike = |a: usize, b: usize| {
        let others = || (0..count).filter(|other| *other != a && *other != b);
        cell(a, b) == cell(b, a)
            && others().all(|c| cell(a, c) == cell(b, c) && cell(c, a) == cell(c, b))
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for one in 0..count {
        match groups.iter_mut().find(|group| alike(group[0], one)) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_relate_alike_to_everybody_are_together() {
        // 0 and 2 may reach 1; nobody else may reach anybody.
        let cell = |a: usize, b: usize| b == 1 && a != 3;
        assert_eq!(groups(4, cell), [vec![0, 2], vec![1], vec![3]]);
    }

    #[test]
    fn how_two_relate_to_each_other_counts() {
        let apart = |a: usize, b: usize| (a, b) == (0, 1);
        assert_eq!(groups(2, apart), [[0], [1]]);
        let together = |_: usize, _: usize| true;
        assert_eq!(groups(3, together), [[0, 1, 2]]);
    }
}
