//! A cursor's tracks: places stand close to each other, so of each there is how far it is from the one before.

use super::value::{Read, Reader, Writer};
use crate::record::cursor::Track;
use crate::record::{Cursor, Lane, List, Place};

pub(super) fn cursor(cursor: &Cursor) -> Vec<u8> {
    let mut out = Writer::new();
    for Track { lane, mark, open, runs, .. } in &cursor.tracks {
        let is_late = lane.list == List::Late;
        // In most there is nothing but the mark.
        let has_more = !open.is_empty() || !runs.is_empty();
        out = out.u8(u8::from(is_late) | u8::from(has_more) << 1).number(lane.source);
        out = place(out, Place::default(), *mark);
        if has_more {
            out = out.number(open.len() as u64);
            let mut last = *mark;
            for next in open.iter().rev() {
                out = place(out, last, *next);
                last = *next;
            }
            out = out.number(runs.len() as u64);
            last = *mark;
            for (from, to) in runs {
                out = place(place(out, last, *from), *from, *to);
                last = *to;
            }
        }
    }
    out.0
}

fn place(out: Writer, last: Place, next: Place) -> Writer {
    out.step(last.counter, next.counter).number(next.copy)
}

pub(super) fn read_cursor(value: &mut Reader<'_>) -> Read<Cursor> {
    let mut tracks: Vec<Track> = Vec::new();
    while !value.0.is_empty() {
        let flags = value.u8()?;
        if flags > 3 {
            return Err("unknown flags of a cursor");
        }
        let list = if flags & 1 == 0 { List::Prompt } else { List::Late };
        let lane = Lane { source: value.number()?, list };
        if tracks.last().is_some_and(|last| last.lane >= lane) {
            return Err("lanes of a cursor are not in order");
        }
        let mut track = Track::new(lane, read_place(value, Place::default())?);
        if flags & 2 != 0 {
            let mut last = track.mark;
            for _ in 0..value.number::<u32>()? {
                last = read_place(value, last)?;
                track.open.push(last);
            }
            track.open.reverse();
            last = track.mark;
            for _ in 0..value.number::<u32>()? {
                let from = read_place(value, last)?;
                last = read_place(value, from)?;
                track.runs.push((from, last));
            }
        }
        if !track.is_in_order() {
            return Err("places of a cursor are not in order");
        }
        tracks.push(track);
    }
    Ok(Cursor { tracks })
}

fn read_place(value: &mut Reader<'_>, last: Place) -> Read<Place> {
    Ok(Place { counter: value.step(last.counter)?, copy: value.number()? })
}
