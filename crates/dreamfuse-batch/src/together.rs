//! Several runs that share one prior, whose evaluations are joined to one call of the network.

use burn::tensor::{Device, Tensor};
use dreamfuse_core::Told;
use dreamfuse_prior::{
    Batch, Conditioning, Encoded, Known, NoiseSchedule, Prior, PriorSpec, ReferenceImages,
    References, Shown, Views,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Where runs meet: when each that is there has asked, all are answered at once.
pub struct Together<'p> {
    prior: &'p dyn Prior,
    meeting: Mutex<Meeting>,
    changed: Condvar,
}

#[derive(Default)]
struct Meeting {
    members: usize,
    /// Those that ever joined.
    joined: u64,
    asked: Vec<Question>,
    answers: Vec<(u64, Tensor<4>)>,
    /// Names the next question.
    next: u64,
    /// Calls of the network so far.
    calls: u64,
    /// An evaluation has panicked: there are no answers any more.
    is_broken: bool,
}

/// A batch that outlives its caller's borrows.
struct Question {
    name: u64,
    /// Who asks, in the order of joining.
    member: u64,
    samples: Tensor<4>,
    timesteps: Vec<usize>,
    conditioning: Conditioning,
    told: Option<Vec<Told>>,
    per_group: usize,
    shown: Option<(References, Vec<Option<usize>>)>,
}

/// What batches have to have in common to be joined.
#[derive(PartialEq)]
struct Kind {
    is_told: bool,
    per_group: usize,
    has_text: bool,
    /// Reference images of each set.
    shown: Option<usize>,
}

impl<'p> Together<'p> {
    /// A meeting over a prior, at which nobody is yet.
    pub fn new(prior: &'p dyn Prior) -> Self {
        Self {
            prior,
            meeting: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The prior for one run, which is waited for until it is dropped.
    pub fn join(&self) -> Member<'_, 'p> {
        let mut meeting = self.lock();
        meeting.members += 1;
        meeting.joined += 1;
        Member {
            together: self,
            number: meeting.joined,
        }
    }

    /// Calls of the network so far.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    fn lock(&self) -> MutexGuard<'_, Meeting> {
        self.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, member: u64, batch: &Batch) -> Tensor<4> {
        let mut meeting = self.lock();
        let name = meeting.next;
        meeting.next += 1;
        meeting.asked.push(Question::of([name, member], batch));
        loop {
            assert!(
                !meeting.is_broken,
                "the evaluation of several runs together failed"
            );
            let found = meeting.answers.iter().position(|(other, _)| *other == name);
            if let Some(index) = found {
                return meeting.answers.swap_remove(index).1;
            }
            if !meeting.asked.is_empty() && meeting.asked.len() >= meeting.members {
                let answered = catch_unwind(AssertUnwindSafe(|| self.answer(&mut meeting)));
                // Nobody may wait for answers that will not come.
                meeting.is_broken = answered.is_err();
                self.changed.notify_all();
                if let Err(panic) = answered {
                    resume_unwind(panic);
                }
                continue;
            }
            meeting = self
                .changed
                .wait(meeting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Answers all that was asked, in as few calls as can be.
    fn answer(&self, meeting: &mut Meeting) {
        // The order of arrival differs from run to run of the program, and the last digits may with it.
        meeting.asked.sort_by_key(|question| question.member);
        let mut asked = std::mem::take(&mut meeting.asked);
        while !asked.is_empty() {
            let kind = asked[0].kind();
            let (alike, others) = asked.into_iter().partition(|other| other.kind() == kind);
            meeting.answers.extend(evaluate(self.prior, alike));
            meeting.calls += 1;
            asked = others;
        }
    }
}

impl Question {
    fn of([name, member]: [u64; 2], batch: &Batch) -> Self {
        let shown = batch.known().shown;
        Self {
            name,
            member,
            samples: batch.samples().clone(),
            timesteps: batch.timesteps().to_vec(),
            conditioning: batch.conditioning().clone(),
            told: batch.views().told().map(<[Told]>::to_vec),
            per_group: batch.views().per_group(),
            shown: shown.map(|shown| (shown.references.clone(), shown.sets.to_vec())),
        }
    }

    fn kind(&self) -> Kind {
        Kind {
            is_told: self.told.is_some(),
            per_group: self.per_group,
            has_text: self.conditioning.rows().is_some(),
            shown: self
                .shown
                .as_ref()
                .map(|(references, _)| references.told(0).len()),
        }
    }
}

/// The reference images of all questions, and which of them each image comes with.
fn joined(questions: &[Question]) -> Option<(References, Vec<Option<usize>>)> {
    let shown: Vec<_> = questions
        .iter()
        .filter_map(|question| question.shown.as_ref())
        .collect();
    if shown.is_empty() {
        return None;
    }
    let (mut first, mut sets) = (0, Vec::new());
    for (references, own) in &shown {
        sets.extend(own.iter().map(|set| set.map(|set| first + set)));
        first += references.sets();
    }
    let references: Vec<_> = shown.iter().map(|(references, _)| references).collect();
    Some((References::cat(&references), sets))
}

/// One call of the network for questions of one kind.
fn evaluate(prior: &dyn Prior, questions: Vec<Question>) -> Vec<(u64, Tensor<4>)> {
    let samples = questions.iter().map(|question| question.samples.clone());
    let samples = Tensor::cat(samples.collect(), 0);
    let timesteps: Vec<usize> = questions.iter().flat_map(|q| q.timesteps.clone()).collect();
    let conditionings: Vec<Conditioning> =
        questions.iter().map(|q| q.conditioning.clone()).collect();
    let conditioning = Conditioning::cat(&conditionings);
    let told: Vec<Told> = questions
        .iter()
        .flat_map(|q| q.told.clone().unwrap_or_default())
        .collect();
    let views = match (&questions[0].told, questions[0].per_group) {
        (None, _) => Views::Unknown,
        (Some(_), per_group) => Views::of(&told, per_group),
    };
    let joined = joined(&questions);
    let shown = joined.as_ref().map(|(references, sets)| Shown {
        references,
        sets,
        scale: 1.0,
    });
    let known = Known { views, shown };
    let predicted = prior.predict(&Batch::new(samples, &timesteps, &conditioning, known));
    let mut start = 0;
    let part = |question: Question| {
        let count = question.timesteps.len();
        let part = predicted.clone().narrow(0, start, count);
        start += count;
        (question.name, part)
    };
    questions.into_iter().map(part).collect()
}

/// The shared prior as one run sees it.
pub struct Member<'t, 'p> {
    together: &'t Together<'p>,
    number: u64,
}

impl Drop for Member<'_, '_> {
    fn drop(&mut self) {
        self.together.lock().members -= 1;
        self.together.changed.notify_all();
    }
}

impl Prior for Member<'_, '_> {
    fn spec(&self) -> PriorSpec {
        self.together.prior.spec()
    }
    fn fingerprint(&self) -> Option<[u8; 32]> {
        self.together.prior.fingerprint()
    }
    fn device(&self) -> Device {
        self.together.prior.device()
    }
    fn schedule(&self) -> &NoiseSchedule {
        self.together.prior.schedule()
    }
    fn condition(&self, prompts: &[String]) -> Result<Conditioning, String> {
        self.together.prior.condition(prompts)
    }
    fn read_references(&self, images: &ReferenceImages) -> Result<References, String> {
        self.together.prior.read_references(images)
    }
    fn encode(&self, images: Tensor<4>) -> Encoded<'_> {
        self.together.prior.encode(images)
    }
    fn decode(&self, samples: Tensor<4>) -> Tensor<4> {
        self.together.prior.decode(samples)
    }
    fn clamp_clean(&self, clean: Tensor<4>) -> Tensor<4> {
        self.together.prior.clamp_clean(clean)
    }
    fn predict(&self, batch: &Batch) -> Tensor<4> {
        self.together.ask(self.number, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_core::Camera;
    use dreamfuse_diffusion::embedded;
    use std::thread;

    /// A batch of `count` images of its own.
    fn predict(prior: &dyn Prior, member: usize, count: usize) -> Vec<f32> {
        let device = Device::flex();
        let side = prior.spec().resolution;
        let values: Vec<f32> = (0..count * 3 * side * side)
            .map(|i| ((i * 37 + member * 11) % 101) as f32 / 50.0 - 1.0)
            .collect();
        let data = burn::tensor::TensorData::new(values, [count, 3, side, side]);
        let told = vec![Told::camera(Camera::orbit(member as f32, 0.3)); count];
        let prompt = ["a red car", "a golden teapot", "a robot"][member].to_owned();
        let conditioning = prior.condition(&vec![prompt; count]).unwrap();
        let timesteps = vec![100 + 200 * member; count];
        let samples = Tensor::from_data(data, &device);
        let batch = Batch::new(samples, &timesteps, &conditioning, Views::Each(&told));
        prior.predict(&batch).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn joined_evaluations_are_those_of_each_alone_and_who_leaves_is_not_waited_for() {
        const ROUNDS: usize = 3;
        let prior = embedded::load(&Device::flex()).unwrap();
        let together = Together::new(&prior);
        let members: Vec<Member> = (0..3).map(|_| together.join()).collect();
        let of_member = |(index, member): (usize, Member<'_, '_>)| {
            // The third leaves after the first round.
            let rounds = if index == 2 { 1 } else { ROUNDS };
            let asked = (0..rounds).map(|_| predict(&member, index, 2 + index));
            asked.collect::<Vec<_>>()
        };
        let answers: Vec<_> = thread::scope(|scope| {
            let started = members.into_iter().enumerate();
            let threads: Vec<_> = started.map(|m| scope.spawn(move || of_member(m))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(together.calls(), ROUNDS as u64);
        for (index, rounds) in answers.iter().enumerate() {
            let alone = predict(&prior, index, 2 + index);
            for round in rounds {
                let square = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>();
                let apart: Vec<f32> = round.iter().zip(&alone).map(|(a, b)| a - b).collect();
                let relative = (square(&apart) / square(&alone)).sqrt();
                assert!(relative < 1e-5, "member {index}: {relative}");
            }
        }
    }

    /// A prior whose evaluation fails, as on a device without memory for all.
    struct Failing(dreamfuse_prior::NoiseSchedule);

    impl Prior for Failing {
        fn spec(&self) -> PriorSpec {
            PriorSpec::of_images(2)
        }
        fn device(&self) -> Device {
            Device::flex()
        }
        fn schedule(&self) -> &NoiseSchedule {
            &self.0
        }
        fn condition(&self, _: &[String]) -> Result<Conditioning, String> {
            Ok(Conditioning::none())
        }
        fn predict(&self, _: &Batch) -> Tensor<4> {
            panic!("out of memory")
        }
    }

    #[test]
    fn an_evaluation_that_fails_fails_for_all_and_leaves_nobody_waiting() {
        let prior = Failing(NoiseSchedule::new(
            dreamfuse_prior::ScheduleConfig::default(),
        ));
        let together = Together::new(&prior);
        let members: Vec<Member> = (0..3).map(|_| together.join()).collect();
        let ask = |member: Member<'_, '_>| {
            let samples = Tensor::zeros([1, 3, 2, 2], &Device::flex());
            let none = Conditioning::none();
            member.predict(&Batch::new(samples, &[5], &none, Views::Unknown));
        };
        let failed = thread::scope(|scope| {
            let threads: Vec<_> = members
                .into_iter()
                .map(|m| scope.spawn(move || ask(m)))
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended.filter(Result::is_err).count()
        });
        assert_eq!(failed, 3);
    }
}
