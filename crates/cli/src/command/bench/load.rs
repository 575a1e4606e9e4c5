//! The loop that publishes and hears: one turn reads what came, fills the windows, and writes once to each connection.

mod open_loop;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use noctule_client::protocol::QoS;
use noctule_client::protocol::frame::Frame;

use super::audience::Audience;
use super::check::{Checker, Tally};
use super::churn::Churn;
use super::fault::Fault;
use super::latency::Latency;
use super::live::Live;
use super::measure::{Measured, Meter};
use super::messages::{Amount, Messages, Timed};
use super::opening::Crew;
use super::pace::Pace;
use super::payload::{HEADER_BYTES, Header};
use super::plan::Plan;
use super::publisher::{Publisher, UNSENT_BYTES_MAX};
use super::run::{Names, Run};
use super::scenario::End;
use super::subscriber::{self, Heard};
use super::template::Template;
use super::watch::{CHECK_EVERY, Watch};
use super::window::Window;

/// After the last expected message, how long to wait for one too many.
const LINGER: Duration = Duration::from_millis(30);
/// How long what is under way is waited for when the user wants to stop.
const PATIENCE_AFTER_STOP: Duration = Duration::from_secs(1);

/// Publishers and subscribers at work.
#[derive(Debug)]
pub(super) struct Load {
    audience: Audience,
    /// Whom the messages were published for: their topics tell.
    topics: Audience,
    /// For one topic at a time.
    scratch: Vec<u8>,
    names: Names,
    version: noctule_client::protocol::ProtocolVersion,
    /// What the times in payloads count from.
    epoch: Instant,
    publishers: Vec<Publisher>,
    publisher_crew: Crew,
    subscriber_crew: Option<Crew>,
    checker: Checker,
    timed: Timed,
    latency: Latency,
    rate: Option<u64>,
    is_acknowledged: bool,
    /// So long each payload must come.
    payload_bytes: usize,
    /// A broker may raise the QoS if it is told to, but not lower it.
    qos_level_min: u8,
    /// Publishers that may have room.
    pending: Vec<usize>,
    /// Publishes that may still be made.
    left: u64,
    until: Option<Duration>,
    published: u64,
    acknowledged: u64,
    /// Messages whose due moment has come, in an open loop.
    scheduled: u64,
    /// Of those, what was never published, since the broker did not keep up.
    unpublished: u64,
    /// When a message or an acknowledgement came last, since the epoch.
    progress_ns: u64,
}

impl Load {
    pub(super) fn new(
        run: &Run,
        audience: Audience,
        publisher_crew: Crew,
        subscriber_crew: Option<Crew>,
        messages: Messages,
    ) -> Result<Self, Fault> {
        let Plan { payload_bytes, topic_prefix, protocol, .. } = &run.plan;
        let fan_out = audience.fan_out();
        let is_acknowledged = messages.qos != QoS::AtMostOnce;
        let payload = vec![b'x'; if messages.is_clearing { 0 } else { (*payload_bytes).max(HEADER_BYTES) }];
        let mut publishers = Vec::with_capacity(publisher_crew.count);
        let (each, left, until) = match messages.amount {
            Amount::Each(each) => {
                let left = each.iter().sum();
                (each, left, None)
            }
            Amount::Until(End::Messages(deliveries)) => {
                (Vec::new(), deliveries.div_ceil(u64::from(fan_out.max(1))), None)
            }
            Amount::Until(End::Seconds(seconds)) => {
                (Vec::new(), u64::MAX, Some(Duration::from_secs(seconds)))
            }
        };
        for place in 0..publisher_crew.count {
            let topics = audience.topics(topic_prefix, place);
            let template = Template::new(*protocol, topics, messages.qos, messages.retain, &payload)?;
            let quota = u64::from(publisher_crew.receive_maximum);
            let window = Window::new(messages.window, quota, is_acknowledged, fan_out);
            let limit = each.get(place).copied().unwrap_or(u64::MAX);
            let mut publisher = Publisher::new(publisher_crew.first + place, window, template, limit);
            if messages.rate.is_some() {
                publisher.due = 0;
            }
            if is_acknowledged && messages.timed == Timed::Acknowledgement {
                publisher.due_times = Some(VecDeque::new());
            }
            publishers.push(publisher);
        }
        Ok(Self {
            checker: Checker::new(run.names.run, publishers.len(), audience.clone()),
            topics: audience.clone(),
            scratch: Vec::new(),
            audience,
            names: run.names,
            version: *protocol,
            epoch: Instant::now(),
            pending: (0..publishers.len()).collect(),
            publishers,
            publisher_crew,
            subscriber_crew,
            timed: messages.timed,
            latency: Latency::new(),
            rate: messages.rate,
            is_acknowledged,
            payload_bytes: payload.len(),
            qos_level_min: messages.qos.min(run.plan.subscribe_qos).level(),
            left,
            until,
            published: 0,
            acknowledged: 0,
            scheduled: 0,
            unpublished: 0,
            progress_ns: 0,
        })
    }

    /// Publishes until it is enough and all of it has come, or nothing comes any more.
    pub(super) fn publish(
        &mut self,
        run: &mut Run,
        mut churn: Option<&mut Churn>,
    ) -> Result<Measured, Fault> {
        let meter = Meter::start(run.broker)?;
        let begin = Instant::now();
        self.progress_ns = self.since_epoch(begin);
        let pace = self.rate.map(|rate| Pace::new(rate, begin));
        let begin_ns = self.since_epoch(begin);
        let mut watch = Watch::new(begin);
        let mut is_over = false;
        loop {
            let now = Instant::now();
            let over = self.until.map(|until| begin + until).filter(|over| *over <= now);
            if let Some(pace) = &pace {
                self.schedule(pace.due(over.unwrap_or(now)));
            }
            if over.is_some() {
                // Once more, what was due in an open loop and there is room for now.
                self.left = if is_over { 0 } else { self.scheduled.saturating_sub(self.published) };
                is_over = true;
            }
            self.fill(run, pace.as_ref().map(|pace| (pace, begin_ns)), self.since_epoch(now));
            if let Some(churn) = &mut churn {
                churn.step(&mut run.fleet, now)?;
            }
            run.fleet.flush()?;
            if self.left == 0 && self.is_settled() {
                break;
            }
            if watch.is_due(now) {
                if run.stop.is_requested() {
                    self.left = 0;
                }
                let patience = if run.stop.is_requested() { PATIENCE_AFTER_STOP } else { run.plan.stall_max };
                self.show(&mut run.live, now);
                if self.is_settled() {
                    // Nothing is to come until the next message is due.
                    watch.progress_at = now;
                }
                if !watch.goes_on(now, self.checker.tally.delivered + self.acknowledged, patience) {
                    break;
                }
                run.fleet.ping_if_due(now)?;
            }
            let next = pace.as_ref().filter(|_| self.left > 0).map(|pace| pace.moment(self.scheduled));
            let churn_next = churn.as_ref().map(|churn| churn.next());
            run.fleet.wake_at(next.into_iter().chain(churn_next).min())?;
            let has_more = self
                .pending
                .iter()
                .any(|place| !run.fleet.connections[self.publishers[*place].connection].is_blocked());
            run.fleet.wait(if has_more { Duration::ZERO } else { CHECK_EVERY })?;
            self.read_ready(run, &mut churn)?;
        }
        run.fleet.wake_at(None)?;
        let measured = meter.stop(self.progress_since(begin), watch.is_stalled)?;
        if let Some(pace) = &pace {
            let over = self.until.map_or_else(Instant::now, |until| (begin + until).min(Instant::now()));
            self.record_unpublished(pace, begin_ns, self.since_epoch(over));
        }
        self.linger(run, &mut churn)?;
        Ok(measured)
    }

    /// Hears what was published before, until all of it has come, or nothing comes any more.
    pub(super) fn hear(&mut self, run: &mut Run, meter: Meter, begin: Instant) -> Result<Measured, Fault> {
        let mut watch = Watch::new(begin);
        while !self.is_settled() {
            let now = Instant::now();
            if watch.is_due(now) {
                self.show(&mut run.live, now);
                let patience = if run.stop.is_requested() { Duration::ZERO } else { run.plan.stall_max };
                if !watch.goes_on(now, self.checker.tally.delivered, patience) {
                    break;
                }
            }
            run.fleet.flush()?;
            run.fleet.wait(CHECK_EVERY)?;
            self.read_ready(run, &mut None)?;
        }
        run.fleet.flush()?;
        let measured = meter.stop(self.progress_since(begin), watch.is_stalled)?;
        self.linger(run, &mut None)?;
        Ok(measured)
    }

    /// The time that payloads and figures are in: nanoseconds since this load was made.
    pub(super) fn since_epoch(&self, moment: Instant) -> u64 {
        nanoseconds(moment.saturating_duration_since(self.epoch))
    }

    /// How long it went on until something came for the last time.
    fn progress_since(&self, begin: Instant) -> Duration {
        Duration::from_nanos(self.progress_ns.saturating_sub(self.since_epoch(begin)))
    }

    /// From now on these hear what was published.
    pub(super) fn set_audience(&mut self, audience: Audience, subscriber_crew: Crew) {
        self.checker = Checker::new(self.names.run, self.publishers.len(), audience.clone());
        self.audience = audience;
        self.subscriber_crew = Some(subscriber_crew);
        // What waited for them has no time of interest.
        self.timed = Timed::Nothing;
        self.latency = Latency::new();
    }

    /// Publishes what windows and buffers have room for.
    fn fill(&mut self, run: &mut Run, pace: Option<(&Pace, u64)>, now_ns: u64) {
        let publishers = self.publishers.len() as u64;
        let mut blocked = 0;
        for at in 0..self.pending.len() {
            let place = self.pending[at];
            let publisher = &mut self.publishers[place];
            publisher.is_pending = false;
            if self.left == 0 || !publisher.may_publish() {
                continue;
            }
            let connection = publisher.connection;
            if !run.fleet.connections[connection].is_blocked() {
                let out = run.fleet.out(connection);
                while self.left > 0 && publisher.may_publish() && out.len() < UNSENT_BYTES_MAX {
                    let sequence = publisher.window.sent;
                    let due_ns = pace.map_or(now_ns, |(pace, begin_ns)| {
                        begin_ns + nanoseconds(pace.offset(sequence * publishers + place as u64))
                    });
                    let topic = self.topics.topic_number(place, sequence);
                    publisher.publish(out, topic, self.names.run, place as u32, due_ns);
                    self.left -= 1;
                    self.published += 1;
                }
            }
            // The buffer is full: once more in the next turn.
            if publisher.may_publish() {
                publisher.is_pending = true;
                self.pending[blocked] = place;
                blocked += 1;
            }
        }
        self.pending.truncate(blocked);
    }

    fn read_ready(&mut self, run: &mut Run, churn: &mut Option<&mut Churn>) -> Result<(), Fault> {
        let mut ready = run.fleet.take_ready();
        for index in ready.drain(..) {
            let now_ns = self.since_epoch(Instant::now());
            if let Some(place) = self.subscriber_crew.and_then(|crew| crew.place(index)) {
                run.fleet.read(index, |out, frame| self.hear_frame(place, now_ns, out, frame))?;
            } else if let Some(place) = self.publisher_crew.place(index) {
                let names = self.names;
                let publisher = &mut self.publishers[place];
                let before = self.acknowledged;
                let acknowledged = &mut self.acknowledged;
                run.fleet.read(index, |out, frame| {
                    *acknowledged += u64::from(publisher.on_frame(|| names.publisher(place), out, frame)?);
                    Ok(())
                })?;
                if *acknowledged > before {
                    self.progress_ns = now_ns;
                    if let Some(due_times) = &mut publisher.due_times {
                        let count = (*acknowledged - before) as usize;
                        due_times
                            .drain(..count.min(due_times.len()))
                            .for_each(|due_ns| self.latency.record(now_ns.saturating_sub(due_ns)));
                    }
                    if !publisher.is_pending {
                        publisher.is_pending = true;
                        self.pending.push(place);
                    }
                }
            } else if let Some(churn) = churn {
                churn.read(&mut run.fleet, index)?;
            } else {
                run.fleet.read_unasked(index)?;
            }
        }
        run.fleet.give_back(ready);
        Ok(())
    }

    /// A subscriber is told something.
    #[inline]
    pub(super) fn hear_frame(
        &mut self,
        place: usize,
        now_ns: u64,
        out: &mut Vec<u8>,
        frame: Frame<'_>,
    ) -> Result<(), Fault> {
        let names = self.names;
        let Some(heard) = subscriber::on_frame(self.version, || names.subscriber(place), out, frame)? else {
            return Ok(());
        };
        let header = Header::read(heard.payload);
        let qos = frame.first_byte >> 1 & 3;
        if let Some(header) = header.filter(|header| header.run == names.run)
            && !self.is_as_published(header, heard, qos)
        {
            self.checker.spoil(place, heard, qos);
            return Ok(());
        }
        let publishers = &self.publishers;
        let is_new = self.checker.deliver(place, header, |publisher| publishers[publisher].window.sent);
        if let (true, Some(header)) = (is_new, header) {
            let publisher = header.publisher as usize;
            self.publishers[publisher].window.deliver(header.sequence);
            if !self.publishers[publisher].is_pending {
                self.publishers[publisher].is_pending = true;
                self.pending.push(publisher);
            }
            self.progress_ns = now_ns;
            if self.timed == Timed::Delivery {
                self.latency.record(now_ns.saturating_sub(header.due_ns));
            }
        }
        Ok(())
    }

    /// Whether a message of this run has the topic, the length and at least the QoS that it must have. What was
    /// never published has nothing to be compared with.
    #[inline]
    fn is_as_published(&mut self, header: Header, heard: Heard<'_>, qos: u8) -> bool {
        let place = header.publisher as usize;
        let Some(publisher) =
            self.publishers.get(place).filter(|publisher| header.sequence < publisher.window.sent)
        else {
            return true;
        };
        let topic = self.topics.topic_number(place, header.sequence);
        heard.payload.len() == self.payload_bytes
            && qos >= self.qos_level_min
            && publisher.template.is_topic(topic, heard.topic, &mut self.scratch)
    }

    /// Whether all that was published has come and is acknowledged.
    fn is_settled(&self) -> bool {
        let expected = self.published * u64::from(self.audience.fan_out());
        self.checker.tally.delivered >= expected
            && (!self.is_acknowledged || self.acknowledged >= self.published)
    }

    /// Answers what is left to answer, and looks whether there is a message too many.
    fn linger(&mut self, run: &mut Run, churn: &mut Option<&mut Churn>) -> Result<(), Fault> {
        let until = Instant::now() + LINGER;
        loop {
            run.fleet.flush()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            run.fleet.wait(left)?;
            self.read_ready(run, churn)?;
        }
    }

    fn show(&self, live: &mut Live, now: Instant) {
        let delivered = self.checker.tally.delivered;
        let expected = self.published * u64::from(self.audience.fan_out());
        match expected {
            0 => live.update(now, self.acknowledged, Some(self.published.saturating_sub(self.acknowledged))),
            _ => live.update(now, delivered, Some(expected.saturating_sub(delivered))),
        }
    }

    pub(super) const fn published(&self) -> u64 {
        self.published
    }

    pub(super) const fn unpublished(&self) -> u64 {
        self.unpublished
    }

    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    pub(super) fn unacknowledged(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.window.unacknowledged()).sum()
    }

    pub(super) fn latency(&mut self) -> Option<super::latency::Percentiles> {
        self.latency.percentiles()
    }

    pub(super) fn times_acknowledgements(&self) -> bool {
        self.timed == Timed::Acknowledgement
    }

    /// What was found, now that nothing comes any more. A phase begins with a new audience.
    pub(super) fn take_tally(&mut self) -> Tally {
        let fresh = Checker::new(self.names.run, self.publishers.len(), self.audience.clone());
        let sent = self.publishers.iter().map(|publisher| publisher.window.sent);
        std::mem::replace(&mut self.checker, fresh).finish(sent)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
