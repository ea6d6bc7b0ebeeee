//! Never two leaders: a model of two processes with clocks of their own, an API server that loses requests and
//! answers, and a person who deletes the Lease or puts old copies back.

use std::time::Duration;

use kubernetes::{BootTime, Candidate, Decision, Observed, Terms};
use proptest::prelude::*;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Time passes, in milliseconds.
    Pass(u64),
    /// A process reads the Lease.
    Read(usize),
    /// It writes what it decided; the request takes so many milliseconds to arrive.
    Write(usize, u64, Fate),
    /// It hears the answer, at the latest before it does anything else.
    Hear(usize),
    /// It releases the Lease and another process takes its place.
    Release(usize),
    /// It dies and another process takes its place.
    Die(usize),
    /// A person deletes the Lease.
    Delete,
    /// A person puts an old copy back.
    Restore(usize),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Fine,
    /// Never arrives.
    Lost,
    /// Arrives, but its answer does not.
    Unanswered,
}

struct Process {
    candidate: Candidate,
    /// Its clock's speed, in thousandths.
    speed: u64,
    plan: Option<Plan>,
    /// The answer that is on its way: to a request sent at this time, with these transitions.
    answer: Option<(BootTime, u32)>,
}

/// What it decided to write.
struct Plan {
    over: Option<Observed>,
    transitions: u32,
    hold: bool,
}

struct World {
    /// True time, in milliseconds.
    now: u64,
    lease: Option<Observed>,
    history: Vec<Observed>,
    version: u64,
    processes: Vec<Process>,
    born: u64,
}

impl World {
    fn new(speeds: [u64; 2]) -> Self {
        let mut world =
            Self { now: 0, lease: None, history: Vec::new(), version: 0, processes: Vec::new(), born: 0 };
        for speed in speeds {
            let process = world.process(speed);
            world.processes.push(process);
        }
        world
    }

    fn process(&mut self, speed: u64) -> Process {
        self.born += 1;
        Process {
            candidate: Candidate::new(format!("p{}", self.born), Terms::default()),
            speed,
            plan: None,
            answer: None,
        }
    }

    fn clock(&self, process: usize) -> BootTime {
        BootTime::since_boot(Duration::from_micros(self.now * self.processes[process].speed))
    }

    fn store(&mut self, mut lease: Observed) {
        self.version += 1;
        lease.version = ("uid".to_owned(), self.version.to_string());
        self.history.push(lease.clone());
        self.lease = Some(lease);
    }

    fn hear(&mut self, of: usize) {
        let now = self.clock(of);
        if let Some((started, transitions)) = self.processes[of].answer.take() {
            self.processes[of].candidate.wrote(transitions, started, now);
        }
    }

    fn read(&mut self, of: usize) {
        self.hear(of);
        let (now, lease) = (self.clock(of), self.lease.clone());
        let process = &mut self.processes[of];
        process.plan = match process.candidate.observe(lease.clone(), now) {
            Decision::Announce(transitions) => Some(Plan { over: lease, transitions, hold: false }),
            Decision::Take(transitions) | Decision::Keep(transitions) => {
                Some(Plan { over: lease, transitions, hold: true })
            }
            Decision::Wait(_) | Decision::Lost => None,
        };
    }

    fn write(&mut self, of: usize, takes: u64, fate: Fate) {
        self.hear(of);
        let started = self.clock(of);
        let Some(Plan { over, transitions, hold }) = self.processes[of].plan.take() else { return };
        self.now += takes;
        let arrives = !matches!(fate, Fate::Lost) && over == self.lease;
        if arrives {
            let identity = self.processes[of].candidate.identity().to_owned();
            let holder = if hold { identity } else { String::new() };
            let duration = Terms::default().duration;
            let version = Default::default();
            self.store(Observed { version, holder, duration, transitions, released_by: None });
        }
        if arrives && hold && matches!(fate, Fate::Fine) {
            self.processes[of].answer = Some((started, transitions));
        }
    }

    fn release(&mut self, of: usize) {
        self.hear(of);
        let now = self.clock(of);
        let identity = self.processes[of].candidate.identity().to_owned();
        let led = self.processes[of].candidate.release(now);
        if let Some(lease) = self.lease.clone().filter(|lease| led && lease.holder == identity) {
            self.store(Observed { holder: String::new(), released_by: Some(identity), ..lease });
        }
        self.die(of);
    }

    fn die(&mut self, of: usize) {
        self.processes[of] = self.process(self.processes[of].speed);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(time) => self.now += time,
            Step::Read(of) => self.read(of),
            Step::Write(of, takes, fate) => self.write(of, takes, fate),
            Step::Hear(of) => self.hear(of),
            Step::Release(of) => self.release(of),
            Step::Die(of) => self.die(of),
            Step::Delete => self.lease = None,
            Step::Restore(which) => {
                if !self.history.is_empty() {
                    self.store(self.history[which % self.history.len()].clone());
                }
            }
        }
    }

    fn leaders(&self) -> usize {
        let leads = |of: &usize| self.processes[*of].candidate.sends_until(self.clock(*of)).is_some();
        (0..2).filter(leads).count()
    }
}

/// A Lease as a test writes it down.
fn lease(version: &str, holder: &str, released_by: Option<&str>) -> Observed {
    Observed {
        version: ("uid".to_owned(), version.to_owned()),
        holder: holder.to_owned(),
        duration: Duration::from_secs(15),
        transitions: 1,
        released_by: released_by.map(str::to_owned),
    }
}

#[test]
fn only_a_release_of_who_was_seen_a_moment_ago_is_believed() {
    let at = |seconds| BootTime::since_boot(Duration::from_secs(seconds));
    let (held, released) = (lease("1", "a", None), lease("2", "", Some("a")));
    for (before, after, now, believed) in [
        (Some(held.clone()), released.clone(), 5, true),
        // Seen too long ago: somebody may have led since, and this be a backup.
        (Some(held.clone()), released.clone(), 16, false),
        (Some(held.clone()), lease("2", "", Some("z")), 5, false),
        (Some(held.clone()), lease("2", "", None), 5, false),
        (Some(held), lease("2", "z", Some("a")), 5, false),
        (None, released, 5, false),
    ] {
        let mut candidate = Candidate::new("b", Terms::default());
        if let Some(before) = before {
            assert!(matches!(candidate.observe(Some(before), at(0)), Decision::Wait(_)));
        }
        let decision = candidate.observe(Some(after.clone()), at(now));
        assert_eq!(decision == Decision::Take(2), believed, "{after:?} at {now}: {decision:?}");
    }
}

#[test]
fn a_nonsensical_duration_is_waited_for_a_minute_at_most() {
    let mut candidate = Candidate::new("b", Terms::default());
    let foreign = Observed { duration: Duration::MAX, ..lease("1", "nobody", None) };
    let mut waited = 0;
    let at = |seconds| BootTime::since_boot(Duration::from_secs(seconds));
    while let Decision::Wait(_) = candidate.observe(Some(foreign.clone()), at(waited)) {
        waited += 1;
        assert!(waited <= 60);
    }
    assert_eq!(waited, 60);
}

#[test]
fn a_leader_that_slept_through_its_lease_leads_no_more() {
    let at = |seconds| BootTime::since_boot(Duration::from_secs(seconds));
    let mut candidate = Candidate::new("b", Terms::default());
    candidate.observe(Some(lease("1", "", None)), at(0));
    assert_eq!(candidate.observe(Some(lease("1", "", None)), at(15)), Decision::Take(2));
    candidate.wrote(2, at(15), at(16));
    assert_eq!(candidate.sends_until(at(16)), Some(at(29)));
    assert_eq!((candidate.sends_until(at(29)), candidate.is_over(at(29))), (None, true));
    assert_eq!(candidate.observe(Some(lease("2", "b", None)), at(3600)), Decision::Lost);
    assert_eq!(candidate.observe(Some(lease("2", "b", None)), at(16)), Decision::Lost);
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Fine), 1 => Just(Fate::Lost), 1 => Just(Fate::Unanswered)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop_oneof![0..3000_u64, 4000..16_000_u64].prop_map(Step::Pass),
        8 => (0..2_usize).prop_map(Step::Read),
        8 => (0..2_usize, prop_oneof![Just(0_u64), 0..2000_u64], fate())
            .prop_map(|(of, takes, fate)| Step::Write(of, takes, fate)),
        4 => (0..2_usize).prop_map(Step::Hear),
        1 => (0..2_usize).prop_map(Step::Release),
        1 => (0..2_usize).prop_map(Step::Die),
        1 => Just(Step::Delete),
        2 => any::<usize>().prop_map(Step::Restore),
    ]
}

/// Clocks that differ by up to 3 %: half of what the margin allows for.
fn speeds() -> impl Strategy<Value = [u64; 2]> {
    [985..=1015_u64, 985..=1015_u64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn never_two_lead(speeds in speeds(), steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new(speeds);
        for step in steps {
            world.step(step);
            prop_assert!(world.leaders() <= 1, "two leaders after {step:?}");
        }
    }

    #[test]
    fn whatever_was_done_to_the_lease_somebody_leads_in_the_end(
        speeds in speeds(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(speeds);
        steps.into_iter().for_each(|step| world.step(step));
        let before = world.lease.as_ref().map_or(0, |lease| lease.transitions);
        for of in 0..2 {
            let now = world.clock(of);
            if world.processes[of].candidate.is_over(now) {
                world.die(of);
            }
        }
        // Longer than any duration in a Lease, each looking once a second.
        for _ in 0..80 {
            world.now += 1000;
            for of in 0..2 {
                world.read(of);
                world.write(of, 0, Fate::Fine);
                world.hear(of);
            }
        }
        prop_assert_eq!(world.leaders(), 1);
        prop_assert!(world.lease.unwrap().transitions >= before, "transitions went back");
    }
}
