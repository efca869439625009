//! The thread that empties the workers' rings.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use ::policy::{Direction, RuleRef};
use arc_swap::ArcSwap;
use dataplane::{EndReason, FlowEvent, FlowNews, Generation, Rules, Time};

use super::{
    locked,
    names::Names,
    record::{Ends, Record, Rule, in_short},
    seconds,
    sink::Sink,
    store::{Open, Store},
    timestamp::timestamp,
};
use crate::{
    control::{Live, View},
    worker::FlowRecorder,
};

/// Between two looks while there are events.
const SHORT: Duration = Duration::from_millis(20);
/// Between two looks after none for a while.
const LONG: Duration = Duration::from_millis(500);

/// What the thread works with.
pub(super) struct Collector {
    recorder: Arc<FlowRecorder>,
    store: Arc<Mutex<Store>>,
    sink: Option<Sink>,
    view: Arc<ArcSwap<View>>,
    live: Arc<dyn Live>,
    names: Names,
    /// Rules that were looked up since the last look.
    rules: HashMap<(Generation, RuleRef), Rule>,
}

impl Collector {
    pub(super) fn new(
        recorder: Arc<FlowRecorder>,
        store: Arc<Mutex<Store>>,
        sink: Option<Sink>,
        view: Arc<ArcSwap<View>>,
        live: Arc<dyn Live>,
    ) -> Self {
        Self {
            recorder,
            store,
            sink,
            names: Names::of(view.load_full()),
            view,
            live,
            rules: HashMap::new(),
        }
    }

    /// Looks for events for ever: seldom while there are none, so that an idle node sleeps.
    pub(super) fn run(mut self) {
        let mut pause = SHORT;
        loop {
            thread::sleep(pause);
            pause = match self.look() {
                0 => (pause * 2).min(LONG),
                _ => SHORT,
            };
        }
    }

    /// Empties the rings; how many events there were.
    fn look(&mut self) -> usize {
        let workers = self.live.workers();
        let used = workers.iter().map(|worker| worker.generation).min();
        let used = Generation(u32::try_from(used.unwrap_or(0)).unwrap_or(u32::MAX));
        let mut events = Vec::new();
        let recorder = self.recorder.clone();
        // The rules are named before their tables are dropped.
        recorder.drain(used, |worker, event| {
            let rules = self.rules_of(&event);
            events.push((worker, event, rules));
        });
        self.rules.clear();
        if !events.is_empty() {
            let view = self.view.load_full();
            if !self.names.is_of(&view) {
                self.names = Names::of(view);
            }
        }
        for (worker, event, rules) in &events {
            self.keep(*worker, event, rules);
        }
        if let Some(Err(error)) = self.sink.as_mut().map(Sink::flush) {
            tracing::error!(%error, "flow log: the file is not written");
        }
        events.len()
    }

    fn rules_of(&mut self, event: &FlowEvent) -> [Option<Rule>; 2] {
        let refs: Rules = match event.news {
            FlowNews::Begun { rules, .. } => rules,
            FlowNews::Denied {
                direction, rule, ..
            } => one(direction, rule),
            FlowNews::Ended {
                reason: EndReason::Cut(direction, rule),
                ..
            } => one(direction, rule),
            FlowNews::Ended { .. } | FlowNews::DeniedOthers { .. } => [None; 2],
        };
        refs.map(|rule| self.rule(event.generation, rule?))
    }

    fn rule(&mut self, generation: Generation, rule: RuleRef) -> Option<Rule> {
        if let Some(known) = self.rules.get(&(generation, rule)) {
            return Some(known.clone());
        }
        let table = self.recorder.table(generation)?;
        let named = Rule::of(&table.describe(rule));
        self.rules.insert((generation, rule), named.clone());
        Some(named)
    }

    fn keep(&mut self, worker: usize, event: &FlowEvent, rules: &[Option<Rule>; 2]) {
        let mut store = locked(&self.store);
        let mut record = self.record(&mut store, worker, event, rules);
        record.time = timestamp(self.recorder.time_of(event.at));
        let record = store.add(record);
        drop(store);
        let Some(sink) = &mut self.sink else { return };
        let line = serde_json::to_string(&*record);
        let written = line
            .map_err(std::io::Error::from)
            .and_then(|line| sink.write(&line));
        if let Err(error) = written {
            tracing::error!(%error, "flow log: a line is lost");
        }
    }

    /// The event as a record, but for its time and number.
    fn record(
        &self,
        store: &mut Store,
        worker: usize,
        event: &FlowEvent,
        rules: &[Option<Rule>; 2],
    ) -> Record {
        let policy = in_short(rules);
        let [egress, ingress] = rules
            .each_ref()
            .map(|rule| Some(rule.as_ref()?.full.clone()));
        let record = Record {
            policy,
            egress,
            ingress,
            ..Record::default()
        };
        match event.news {
            FlowNews::Begun { slot, .. } => {
                let ends = Ends::of(&event.key, &self.names);
                store.opened(
                    worker,
                    slot,
                    Open {
                        began: event.at,
                        ends: ends.clone(),
                        policy: record.policy.clone(),
                    },
                );
                Record {
                    event: "begin",
                    verdict: "allow",
                    ends,
                    ..record
                }
            }
            FlowNews::Ended { slot, began, .. } => {
                let open = store.closed(worker, slot, began);
                self.ended(event, open, record)
            }
            FlowNews::Denied {
                packets,
                bytes,
                since,
                ..
            } => Record {
                ends: Ends::of(&event.key, &self.names),
                ..denied(event.at, packets, bytes, since, record)
            },
            FlowNews::DeniedOthers {
                packets,
                bytes,
                since,
            } => denied(event.at, packets, bytes, since, record),
        }
    }

    fn ended(&self, event: &FlowEvent, open: Option<Open>, record: Record) -> Record {
        let FlowNews::Ended {
            began,
            packets,
            bytes,
            reason,
            ..
        } = event.news
        else {
            return record;
        };
        let is_cut = matches!(reason, EndReason::Cut(..));
        let allowed_by = open.as_ref().and_then(|open| open.policy.clone());
        Record {
            event: "end",
            verdict: if is_cut { "deny" } else { "allow" },
            ends: open.map_or_else(|| Ends::of(&event.key, &self.names), |open| open.ends),
            policy: record.policy.or(allowed_by),
            packets: Some(packets[0]),
            bytes: Some(bytes[0]),
            reply_packets: Some(packets[1]),
            reply_bytes: Some(bytes[1]),
            seconds: Some(seconds(event.at.since(began))),
            reason: Some(reason.label()),
            ..record
        }
    }
}

fn denied(at: Time, packets: u64, bytes: u64, since: Time, record: Record) -> Record {
    Record {
        event: "deny",
        verdict: "deny",
        packets: Some(packets),
        bytes: Some(bytes),
        seconds: Some(seconds(at.since(since))),
        ..record
    }
}

/// The rule of one direction.
fn one(direction: Direction, rule: Option<RuleRef>) -> Rules {
    match direction {
        Direction::Egress => [rule, None],
        Direction::Ingress => [None, rule],
    }
}
