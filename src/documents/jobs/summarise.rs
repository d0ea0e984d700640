//! A summary from where it is to its end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use super::ready::{PRIORITY, Taken};
use super::run::{Outcome, failed, seconds_left};
use super::{Finished, Jobs, PLACES};
use crate::documents::source::Source;
use crate::documents::summary::{Plan, Request, Said, Summarizer, Summary};
use crate::storage::{Result, blocking, unix_micros};

/// What requests for summaries and their answers look like.
pub trait Summaries: Send + Sync + 'static {
    /// Reads a request, for the model of this name: what it asks for, or why it
    /// cannot be answered; `None` where the server stops.
    fn read<'a>(
        &'a self,
        request: Vec<u8>,
        model: &'a str,
    ) -> BoxFuture<'a, Option<std::result::Result<Box<dyn Asked>, String>>>;
}

/// A summary that was asked for.
pub trait Asked: Send + Sync {
    fn summarizer(&self) -> &Summarizer;

    fn source(&self) -> &Source;

    fn request(&self) -> &Request;

    /// Writes the answer. `varies` says why another run may give another one.
    fn answer(
        self: Box<Self>,
        summary: Summary,
        varies: Option<String>,
    ) -> BoxFuture<'static, std::result::Result<Answer, String>>;
}

/// An answer as it is kept.
pub struct Answer {
    pub bytes: Vec<u8>,
    pub record: Option<Vec<u8>>,
    /// What went wrong besides.
    pub note: Option<String>,
}

/// Says what the passages that are left say, stores it as it comes, and writes
/// the answer.
pub(super) async fn summarise(jobs: &Arc<Jobs>, taken: Taken) -> Result<Outcome> {
    let Taken { job, document, .. } = taken;
    let asked = match jobs.settings.summaries.read(document, &job.model).await {
        Some(Ok(asked)) => asked,
        Some(Err(why)) => return Ok(Outcome::Failed(why)),
        None => return Ok(Outcome::Stopped),
    };
    let request = Request { priority: PRIORITY, ..asked.request().clone() };
    let (plan, earlier) = match planned(jobs, &job.id, &*asked, &request).await? {
        Ok(planned) => planned,
        Err(outcome) => return Ok(outcome),
    };
    jobs.tell();
    let count = earlier.len();
    let said = match say(jobs, &job.id, (&*asked, &request), (&plan, earlier)).await? {
        Ok(said) => said,
        Err(outcome) => return Ok(outcome),
    };
    if said.len() < plan.passages.len() {
        return Ok(Outcome::Stopped);
    }
    let summary = Summary::of(&plan, said.into_values().collect(), &request);
    let varies = (count > 0).then(|| format!("{count} passages were read in an earlier run"));
    let Answer { bytes, record, note } = match asked.answer(summary, varies).await {
        Ok(answer) => answer,
        Err(why) => return Ok(Outcome::Failed(why)),
    };
    let (own, id) = (jobs.clone(), job.id);
    let finish = move || {
        let (result, record) = (&*bytes, record.as_deref());
        let finished = Finished { result, record, note, learnt: &[], noted: &[] };
        own.store.finish_job(&id, finished, unix_micros())
    };
    Ok(if blocking(finish).await? { Outcome::Done } else { Outcome::Gone })
}

type Known = BTreeMap<usize, Said>;

/// Which passages are looked at, and what is stored of them.
async fn planned(
    jobs: &Arc<Jobs>,
    id: &str,
    asked: &dyn Asked,
    request: &Request,
) -> Result<std::result::Result<(Plan, Known), Outcome>> {
    let (own, key) = (jobs.clone(), id.to_owned());
    let stored = move || Ok((own.store.job_plan(&key)?, own.store.job_passages(&key)?));
    if let (Some(plan), passages) = blocking(stored).await?
        && plan.is_of(asked.source())
    {
        let known = passages.into_iter().filter(|(number, _)| *number < plan.passages.len());
        let known = known.collect();
        return Ok(Ok((plan, known)));
    }
    let plan = {
        let _place = jobs.places.acquire().await;
        match asked.summarizer().plan(asked.source(), request).await {
            Ok(plan) => plan,
            Err(error) => {
                let why = error.to_string();
                return Ok(Err(failed(error, why)));
            }
        }
    };
    let (own, key, new) = (jobs.clone(), id.to_owned(), plan.clone());
    let there = blocking(move || own.store.put_plan(&key, &new)).await?;
    Ok(if there { Ok((plan, Known::new())) } else { Err(Outcome::Gone) })
}

/// What all passages say, with what is known of them; of fewer where the server
/// stops.
async fn say(
    jobs: &Arc<Jobs>,
    id: &str,
    (asked, request): (&dyn Asked, &Request),
    (plan, mut known): (&Plan, Known),
) -> Result<std::result::Result<Known, Outcome>> {
    let pending: Vec<usize> =
        (0..plan.passages.len()).filter(|number| !known.contains_key(number)).collect();
    let (left, begun, mut done) = (pending.len(), Instant::now(), 0);
    let one = |number: usize| async move {
        let _place = jobs.places.acquire().await;
        let said = asked.summarizer().say(asked.source(), request, &plan.passages[number]).await;
        (number, said)
    };
    let mut results = pin!(
        stream::iter(pending)
            .take_until(jobs.settings.stop.clone().cancelled_owned())
            .map(one)
            .buffer_unordered(PLACES)
            // What is ready at the same time is written at once.
            .ready_chunks(PLACES)
    );
    while let Some(results) = results.next().await {
        let mut passages = Vec::with_capacity(results.len());
        let mut fault = None;
        for (number, result) in results {
            match result {
                Ok(said) => passages.push((number, said)),
                Err(error) => fault = fault.or(Some((plan.passages[number].paragraph, error))),
            }
        }
        done += passages.len();
        known.extend(passages.iter().cloned());
        let seconds = seconds_left(begun, done, left);
        let (own, key) = (jobs.clone(), id.to_owned());
        let stored = move || own.store.put_passages(&key, &passages, Some(seconds));
        if !blocking(stored).await? {
            return Ok(Err(Outcome::Gone));
        }
        jobs.tell();
        if let Some((paragraph, error)) = fault {
            let why = format!("paragraph {}: {error}", paragraph + 1);
            return Ok(Err(failed(error, why)));
        }
    }
    Ok(Ok(known))
}
