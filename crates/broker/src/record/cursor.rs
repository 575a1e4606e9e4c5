//! What a session is done with, of messages that others still wait for.

use std::collections::HashSet;

use crate::message::Sequence;

/// How the copies that stand in a message's list come to their sessions.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum List {
    /// In the turn in which it is passed on, or with the next parcel.
    Prompt,
    /// A part a turn, since they are very many: messages that were published later may come before it.
    Late,
}

/// Copies that come to each session in the order of their places, and leave its queue in this order.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Lane {
    /// The source of the messages.
    pub source: u32,
    /// How they come.
    pub list: List,
}

/// Where a copy stands in its lane. A session may have several copies of one message, by overlapping subscriptions.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The message's counter.
    pub counter: u64,
    /// Number of the copy.
    pub copy: u32,
}

/// More runs of dropped copies are not remembered: those that are forgotten may come once more after a crash.
const RUNS_MAX: usize = 64;

/// How far a session is with each lane. Copies with a row of their own have no part in it.
///
/// ```text
///              mark
///  ▪ ▪ ▫ ▪ ▪ ▪ ▫ ▪ │ ▫ ▫ ▪ ▪ ▪ ▫ ▫      ▪ done with   ▫ not
///      open  open         run
/// ```
///
/// Nothing is remembered of each copy, so it must be known when one was passed by. A session takes copies off its queue
/// in the order of their lane, so at the mark, which is a copy that it took and is done with, all before it were taken as
/// well: they are done with too, unless they are in flight. Since no copy comes to a lane behind one that is there
/// already, this holds for the copies on their way.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cursor {
    /// In the order of their lanes.
    pub(super) tracks: Vec<Track>,
}

/// How far it is with one lane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Track {
    /// Which.
    pub lane: Lane,
    /// The last copy that was taken off the queue and is done with.
    pub mark: Place,
    /// Those up to the mark that are not, in order: in memory only those that were so at the last start, in the record
    /// those in flight too.
    pub open: Vec<Place>,
    /// Those behind the mark that are, in order: from, and up to and including.
    pub runs: Vec<(Place, Place)>,
    /// In flight at the last start, while what came before them was put into the queue again. In memory only.
    apart: Vec<Place>,
    /// What stood last in the queue when the last run was added to. In memory only.
    behind: Option<(Sequence, u32)>,
}

impl Track {
    pub(super) fn new(lane: Lane, mark: Place) -> Self {
        Self { lane, mark, open: Vec::new(), runs: Vec::new(), apart: Vec::new(), behind: None }
    }

    /// A copy that was taken off the queue is done with.
    fn settle(&mut self, place: Place) {
        if let Ok(at) = self.apart.binary_search(&place) {
            self.apart.remove(at);
            if place > self.mark {
                let at = self.runs.partition_point(|(from, _)| *from < place);
                self.runs.insert(at, (place, place));
                self.behind = None;
                return;
            }
        }
        if place > self.mark {
            self.mark = place;
            let passed = self.runs.partition_point(|(from, _)| *from <= place);
            self.runs.drain(..passed);
        } else if let Ok(at) = self.open.binary_search(&place) {
            self.open.remove(at);
        }
    }

    /// A copy was dropped when it came, while `behind` stood last in the queue.
    fn drop_arriving(&mut self, place: Place, behind: (Sequence, u32)) {
        // If that has not changed, nothing came between.
        if self.behind == Some(behind)
            && let Some((_, to)) = self.runs.last_mut()
        {
            *to = place.max(*to);
        } else if self.runs.len() < RUNS_MAX {
            self.runs.push((place, place));
            self.behind = Some(behind);
        }
    }

    /// Whether it can be: a record may be damaged.
    pub(super) fn is_in_order(&self) -> bool {
        let runs = self.runs.iter().flat_map(|(from, to)| [from, to]);
        self.open.iter().chain([&self.mark]).is_sorted() && [&self.mark].into_iter().chain(runs).is_sorted()
    }

    fn has(&self, place: Place) -> bool {
        match place <= self.mark {
            true => self.open.binary_search(&place).is_err(),
            false => self.runs.iter().any(|(from, to)| (*from..=*to).contains(&place)),
        }
    }
}

impl Cursor {
    fn find(&self, lane: Lane) -> Result<usize, usize> {
        self.tracks.binary_search_by_key(&lane, |track| track.lane)
    }

    /// A copy that was taken off the session's queue is done with.
    pub(crate) fn settle(&mut self, lane: Lane, place: Place) {
        match self.find(lane) {
            Ok(at) => self.tracks[at].settle(place),
            Err(at) => self.tracks.insert(at, Track::new(lane, place)),
        }
    }

    /// A copy was dropped when it came for the session, while `behind` stood last in its queue, `None` if nothing did.
    pub(crate) fn drop_arriving(&mut self, lane: Lane, place: Place, behind: Option<(Sequence, u32)>) {
        let Some(behind) = behind else { return self.settle(lane, place) };
        let at = self.find(lane).unwrap_or_else(|at| {
            self.tracks.insert(at, Track::new(lane, Place::default()));
            at
        });
        self.tracks[at].drop_arriving(place, behind);
    }

    /// A copy is put into flight again at a start, before what came before it: it does not move the mark.
    pub(crate) fn set_apart(&mut self, lane: Lane, place: Place) {
        let at = self.find(lane).unwrap_or_else(|at| {
            self.tracks.insert(at, Track::new(lane, Place::default()));
            at
        });
        let apart = &mut self.tracks[at].apart;
        if let Err(at) = apart.binary_search(&place) {
            apart.insert(at, place);
        }
    }

    /// Whether the session is done with a copy, as far as this is known.
    pub fn has(&self, lane: Lane, place: Place) -> bool {
        self.find(lane).is_ok_and(|at| self.tracks[at].has(place))
    }

    /// What to store, while these copies are in flight.
    pub(crate) fn record(&self, in_flight: impl Iterator<Item = (Lane, Place)>) -> Self {
        let mut record = self.clone();
        for (lane, place) in in_flight {
            let Ok(at) = record.find(lane) else { continue };
            let Track { mark, open, .. } = &mut record.tracks[at];
            if place <= *mark {
                open.push(place);
            }
        }
        for Track { open, apart, behind, .. } in &mut record.tracks {
            open.sort_unstable();
            open.dedup();
            (*apart, *behind) = (Vec::new(), None);
        }
        record
    }

    /// Forgets sources of which no list is stored any more. Gives whether there were any.
    pub(crate) fn forget_all_but(&mut self, sources: &HashSet<u32>) -> bool {
        let before = self.tracks.len();
        self.tracks.retain(|track| sources.contains(&track.lane.source));
        self.tracks.len() < before
    }

    /// How far it is with each lane.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter()
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LANE: Lane = Lane { source: 3, list: List::Prompt };

    fn place(counter: u64) -> Place {
        Place { counter, copy: 0 }
    }

    fn done(cursor: &Cursor, range: std::ops::Range<u64>) -> Vec<u64> {
        range.filter(|counter| cursor.has(LANE, place(*counter))).collect()
    }

    #[test]
    fn what_is_acknowledged_in_order_is_a_mark() {
        let mut cursor = Cursor::default();
        for counter in [2, 3, 5, 8] {
            cursor.settle(LANE, place(counter));
        }
        assert_eq!(cursor.record([(LANE, place(9))].into_iter()), cursor);
        assert_eq!(cursor.tracks, [Track::new(LANE, place(8))]);
        assert!(!cursor.has(Lane { source: 4, ..LANE }, place(1)));
        assert!(!cursor.has(Lane { list: List::Late, ..LANE }, place(1)));
        let second_copy = Place { counter: 8, copy: 1 };
        assert!(!cursor.has(LANE, second_copy), "another copy of the same message");
    }

    #[test]
    fn what_was_dropped_between_waiting_messages_is_runs() {
        let mut cursor = Cursor::default();
        let queued = |counter| Some((Sequence { source: 3, counter }, 0));
        cursor.settle(LANE, place(1));
        // 2 and 3 wait; 7 comes and is admitted.
        for (counter, behind) in [(4, 3), (5, 3), (6, 3), (8, 7), (9, 7)] {
            cursor.drop_arriving(LANE, place(counter), queued(behind));
        }
        assert_eq!(done(&cursor, 1..11), [1, 4, 5, 6, 8, 9]);
        assert_eq!(cursor.tracks[0].runs.len(), 2);
        cursor.settle(LANE, place(2));
        cursor.settle(LANE, place(3));
        cursor.settle(LANE, place(7));
        assert_eq!(cursor.tracks[0].runs, [(place(8), place(9))]);
        cursor.drop_arriving(LANE, place(10), None);
        assert_eq!(cursor.tracks, [Track { behind: queued(7), ..Track::new(LANE, place(10)) }]);
    }

    #[test]
    fn runs_are_bounded() {
        let mut cursor = Cursor::default();
        for counter in (1..1_000).step_by(2) {
            cursor.drop_arriving(
                LANE,
                place(counter),
                Some((Sequence { source: 3, counter: counter - 1 }, 0)),
            );
        }
        assert_eq!(cursor.tracks[0].runs.len(), RUNS_MAX);
    }

    #[test]
    fn sources_without_lists_are_forgotten() {
        let mut cursor = Cursor::default();
        for source in 1..=4 {
            cursor.settle(Lane { source, ..LANE }, place(1));
        }
        assert!(!cursor.forget_all_but(&(1..5).collect()));
        assert!(cursor.forget_all_but(&HashSet::from([3, 9])));
        assert!(cursor.has(LANE, place(1)) && !cursor.is_empty());
        assert!(cursor.forget_all_but(&HashSet::new()) && cursor.is_empty());
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Come,
        ComeInVain,
        Send,
        /// Of those in flight.
        Acknowledge(usize),
        /// What is not in flight with QoS 2 is in the queue again.
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
        let step = prop_oneof![
            3 => Just(Step::Come),
            1 => Just(Step::ComeInVain),
            3 => Just(Step::Send),
            3 => (0..20_usize).prop_map(Step::Acknowledge),
            1 => Just(Step::Restart),
        ];
        prop::collection::vec((step, any::<bool>()), 0..120)
    }

    proptest! {
        /// A session, copy by copy: the record says what is done with, no less and no more.
        #[test]
        fn the_record_is_exact(steps in steps()) {
            let (mut queue, mut flight, mut over) = (Vec::new(), Vec::new(), Vec::new());
            let mut cursor = Cursor::default();
            for (counter, (step, is_qos2)) in (1..).zip(steps) {
                match step {
                    Step::Come => queue.push((counter, is_qos2)),
                    Step::ComeInVain => {
                        let last = queue.last().map(|(counter, _)| (Sequence { source: 3, counter: *counter }, 0));
                        cursor.drop_arriving(LANE, place(counter), last);
                        over.push(counter);
                    }
                    Step::Send if queue.is_empty() => {}
                    Step::Send => flight.push(queue.remove(0)),
                    Step::Acknowledge(_) if flight.is_empty() => {}
                    Step::Acknowledge(n) => {
                        let (counter, _) = flight.remove(n % flight.len());
                        cursor.settle(LANE, place(counter));
                        over.push(counter);
                    }
                    Step::Restart => {
                        cursor = cursor.record(flight.iter().map(|(counter, _)| (LANE, place(*counter))));
                        queue.extend(flight.extract_if(.., |(_, is_qos2)| !*is_qos2));
                        queue.sort_unstable();
                        flight.iter().for_each(|(counter, _)| cursor.set_apart(LANE, place(*counter)));
                    }
                }
                let record = cursor.record(flight.iter().map(|(counter, _)| (LANE, place(*counter))));
                over.sort_unstable();
                let known = done(&record, 1..counter + 1);
                let open = queue.iter().chain(&flight).filter(|(counter, _)| record.has(LANE, place(*counter)));
                prop_assert_eq!(open.count(), 0);
                prop_assert!(over.iter().all(|counter| known.contains(counter)), "{:?} {:?}", over, known);
            }
        }
    }
}
