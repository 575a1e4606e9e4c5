//! A walk over all subscriptions, a few at a time, for who wants to list them.

use std::slice;

use super::cell::{Cell, Link};
use super::{ROOT, Subscription, TopicTree};

/// Where a walk goes on. What was entered or left meanwhile behind it is not seen, and nothing else is missed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    exact: u32,
    cell: u32,
    /// How many of that filter's subscribers were seen.
    member: usize,
}

impl<T: Subscription> TopicTree<T> {
    /// Calls `f` for some subscriptions, in no order, each with its filter, and says where to go on. Costs at most about
    /// `steps` subscriptions.
    pub(crate) fn walk(&self, from: Cursor, steps: usize, mut f: impl FnMut(&str, &T)) -> Option<Cursor> {
        let mut cursor = from;
        let mut left = steps.max(1);
        while cursor.exact < self.exact_filters.end() {
            if let Some(filter) = self.exact_filters.get(cursor.exact) {
                let members = filter.subscribers.as_slice();
                tell(members, &mut cursor, &mut left, |one| f(&filter.text, one));
                if cursor.member < members.len() {
                    return Some(cursor);
                }
            }
            cursor = Cursor { exact: cursor.exact + 1, member: 0, ..cursor };
            left = left.saturating_sub(1);
            if left == 0 {
                return Some(cursor);
            }
        }
        while cursor.cell < self.cells.end() {
            if let Some(Cell::Node(node)) = self.cells.get(cursor.cell) {
                let (here, below) = (self.members(node.here), self.members(node.below));
                if !here.is_empty() || !below.is_empty() {
                    let filter = self.levels(cursor.cell);
                    tell(here, &mut cursor, &mut left, |one| f(&filter, one));
                    if cursor.member >= here.len() {
                        let filter = if cursor.cell == ROOT { "#".to_owned() } else { format!("{filter}/#") };
                        cursor.member -= here.len();
                        tell(below, &mut cursor, &mut left, |one| f(&filter, one));
                        cursor.member += here.len();
                    }
                    if cursor.member < here.len() + below.len() {
                        return Some(cursor);
                    }
                }
            }
            cursor = Cursor { cell: cursor.cell + 1, member: 0, ..cursor };
            left = left.saturating_sub(1);
            if left == 0 {
                return Some(cursor);
            }
        }
        None
    }

    fn members(&self, list: Link) -> &[T] {
        match list.get().and_then(|at| self.cells.get(at)) {
            Some(Cell::One(one)) => slice::from_ref(one),
            Some(Cell::Many(crowd)) => &crowd.members,
            Some(Cell::Node(_)) | None => &[],
        }
    }

    /// The levels down to a node, as a filter has them.
    fn levels(&self, mut id: u32) -> String {
        let mut levels = Vec::new();
        while id != ROOT {
            let node = self.node(id);
            levels.push(match node.segment.is_plus() {
                true => "+".into(),
                false => String::from_utf8_lossy(self.long_texts.text(&node.segment)),
            });
            id = node.parent;
        }
        levels.reverse();
        levels.join("/")
    }
}

fn tell<T>(members: &[T], cursor: &mut Cursor, left: &mut usize, f: impl FnMut(&T)) {
    let rest = members.get(cursor.member..).unwrap_or_default();
    let part = &rest[..rest.len().min(*left)];
    part.iter().for_each(f);
    cursor.member += part.len();
    *left -= part.len();
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use ahash::RandomState;

    use super::*;

    #[test]
    fn it_comes_to_every_subscription_once_however_few_at_a_time() {
        let filters =
            ["a", "a/b", "#", "+", "a/#", "a/+/c", "+/+/a level that is long", "/", "/#", "", "$x/#"];
        for members in [1_u32, 2, 40] {
            let mut tree = TopicTree::new(RandomState::with_seeds(1, 2, 3, 4));
            let mut expected = Vec::new();
            for filter in filters {
                for who in 0..members {
                    tree.insert(filter, (who, 0_u8));
                    expected.push((filter.to_owned(), who));
                }
            }
            tree.remove("a/+/c", 0);
            expected.retain(|entry| *entry != ("a/+/c".to_owned(), 0));
            expected.sort();
            for steps in [1, 2, 3, 7, 1000] {
                let (mut found, mut calls) = (Vec::new(), 0);
                let mut cursor = Some(Cursor::default());
                while let Some(from) = cursor {
                    let before = found.len();
                    cursor = tree.walk(from, steps, |filter, &(who, _)| found.push((filter.to_owned(), who)));
                    assert!(found.len() - before <= steps);
                    calls += 1;
                }
                found.sort();
                assert_eq!(found, expected, "{members} {steps} {calls}");
            }
        }
    }
}
