//! Jobs on disk, from being made to being deleted.

use super::*;
use crate::documents::jobs::Work;
use crate::documents::jobs::job::tests::job;
use crate::documents::jobs::segment::tests::translated;
use crate::documents::source::Citation;
use crate::documents::store::StoredMemory;
use crate::documents::summary::{Plan, Said};
use crate::engine::Usage;

fn upload(document: &str) -> Upload {
    Upload { document: document.into(), terms: Vec::new(), fingerprint: document.into() }
}

fn segment() -> StoredSegment {
    let (source, translated) = translated(0);
    StoredSegment::new(&source, translated, None)
}

fn state(store: &Store, id: &str) -> Option<State> {
    store.job(id).unwrap().map(|job| job.state)
}

#[test]
fn a_job_goes_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let made = job("a", 1);
    assert_eq!(store.create_job(&made, &upload("# A"), 9).unwrap(), Created::New);
    store.create_job(&job("b", 0), &upload("# B"), 9).unwrap();
    assert_eq!(store.open_jobs().unwrap(), ["b", "a"]);
    let ids: Vec<String> = store.jobs().unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(store.job("a").unwrap(), Some(made));
    assert_eq!(store.upload("a").unwrap().unwrap().0, b"# A");

    // Only of a job that runs segments are stored.
    assert!(!store.put_segments("a", &[(1, segment())], None).unwrap());
    store.change_job("a", |job| job.take_up(5)).unwrap().unwrap();
    assert!(store.put_segments("a", &[(1, segment())], Some(7)).unwrap());
    drop(store);

    let store = Store::open(folder.path()).unwrap();
    let found = store.job("a").unwrap().unwrap();
    assert_eq!((found.state, found.done, found.tries), (State::Running, 1, 0));
    assert_eq!((found.prompt_tokens, found.seconds_left), (30, Some(7)));
    assert_eq!(found.done_characters, segment().report.weight);
    assert_eq!(store.job_segments("a").unwrap(), [(1, segment())]);
    assert_eq!(store.job_segments("b").unwrap(), []);

    assert!(store.put_segments("a", &[(0, segment())], None).unwrap());
    let done = |result| Finished { result, record: Some(b"{}"), ..Finished::default() };
    assert!(store.finish_job("a", done(b"done"), 8).unwrap());
    assert!(!store.finish_job("a", done(b"again"), 9).unwrap());
    assert_eq!(store.job_record("a").unwrap().unwrap(), b"{}");
    assert!(!store.put_segments("a", &[(0, segment())], None).unwrap());
    assert_eq!(store.job_result("a").unwrap().unwrap(), b"done");
    assert_eq!((state(&store, "a"), store.upload("a").unwrap()), (Some(State::Done), None));
    assert_eq!(store.open_jobs().unwrap(), ["b"]);
    let cancel = |job: &mut StoredJob| job.end(State::Cancelled, None, 10);
    assert!(!store.change_job("a", cancel).unwrap().unwrap().1, "it is done");
    assert!(store.change_job("b", cancel).unwrap().unwrap().1);
    assert!(store.change_job("c", cancel).unwrap().is_none());
    assert_eq!((state(&store, "b"), store.open_jobs().unwrap().len()), (Some(State::Cancelled), 0));

    // What is old goes, with everything that it had.
    assert_eq!(store.delete_jobs_before(8).unwrap(), 0);
    assert_eq!(store.delete_jobs_before(9).unwrap(), 1);
    assert_eq!((state(&store, "a"), store.job_result("a").unwrap()), (None, None));
    assert_eq!((store.job_segments("a").unwrap(), store.job_record("a").unwrap()), (vec![], None));
    assert!(store.delete_job("b").unwrap() && !store.delete_job("b").unwrap());
}

#[test]
fn a_summary_keeps_its_steps_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let usage = Usage { prompt_tokens: 30, completion_tokens: 9, cached_tokens: 3 };
    let passage = |paragraph| Citation { paragraph, span: 0..9 };
    let plan = Plan { passages: vec![passage(1), passage(0)], usage };
    let said = Said { statement: None, broken: true, usage };
    let made = StoredJob { work: Work::Summarize, ..job("a", 1) };
    store.create_job(&made, &upload("{}"), 9).unwrap();
    assert!(!store.put_plan("a", &plan).unwrap(), "it does not run");
    store.change_job("a", |job| job.take_up(5)).unwrap();
    assert!(store.put_plan("a", &plan).unwrap());
    assert!(store.put_passages("a", &[(1, said.clone())], Some(7)).unwrap());
    drop(store);

    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.job_plan("a").unwrap(), Some(plan.clone()));
    assert_eq!(store.job_passages("a").unwrap(), [(1, said.clone())]);
    let found = store.job("a").unwrap().unwrap();
    assert_eq!((found.work, found.segments, found.done), (Work::Summarize, 2, 1));
    assert_eq!((found.prompt_tokens, found.completion_tokens, found.tries), (60, 18, 0));
    // Nothing that was stored is no step forward.
    store.change_job("a", |job| job.put_back(None, false) && job.take_up(6)).unwrap();
    assert!(store.put_passages("a", &[], None).unwrap());
    assert!(store.put_segments("a", &[], None).unwrap());
    assert_eq!(store.job("a").unwrap().unwrap().tries, 1);
    // Another plan knows nothing of the passages of the first.
    assert!(store.put_plan("a", &plan).unwrap());
    assert_eq!(
        (store.job_passages("a").unwrap(), store.job("a").unwrap().unwrap().done),
        (vec![], 0)
    );
    assert!(store.put_passages("a", &[(0, said.clone())], None).unwrap());
    let done = Finished { result: b"{}", ..Finished::default() };
    assert!(store.finish_job("a", done, 8).unwrap());
    assert_eq!((store.job_plan("a").unwrap(), store.job_passages("a").unwrap()), (None, vec![]));
    assert!(!store.put_passages("a", &[(1, said)], None).unwrap(), "it is done");
    assert_eq!(store.delete_jobs_before(9).unwrap(), 1);
    assert_eq!(store.job_result("a").unwrap(), None);
}

#[test]
fn a_request_makes_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let named = |id: &str| StoredJob { request: Some("r".to_owned()), ..job(id, 1) };
    let (a, b) = (named("a"), named("b"));
    assert_eq!(store.create_job(&a, &upload("x"), 1).unwrap(), Created::New);
    // Known before it is counted.
    let known = store.create_job(&b, &upload("x"), 1).unwrap();
    assert_eq!(known, Created::Known(Box::new(a)));
    assert_eq!(store.create_job(&b, &upload("y"), 9).unwrap(), Created::Other);
    assert_eq!(store.create_job(&job("c", 1), &upload("x"), 1).unwrap(), Created::TooMany(1));
    assert_eq!(store.jobs().unwrap().len(), 1);
    store.delete_job("a").unwrap();
    assert_eq!(store.create_job(&b, &upload("y"), 1).unwrap(), Created::New);
}

#[test]
fn a_memory_learns_of_a_job_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let memory = StoredMemory {
        id: "m".into(),
        name: "m".into(),
        created: 1,
        units: 0,
        languages: Vec::new(),
    };
    store.create_memory(memory, &[]).unwrap();
    let units = [Unit::new(("fr", "Oui.".to_owned()), ("en", "Yes.".to_owned()), 7)];
    for (id, memory, learnt, note) in [
        ("a", "m", 1, None),
        ("b", "gone", 1, Some("the memory is gone, so nothing was added to it")),
    ] {
        let mut made = job(id, 1);
        made.options.memory = Some(memory.to_owned());
        store.create_job(&made, &upload("x"), 9).unwrap();
        store.change_job(id, |job| job.take_up(2)).unwrap();
        let done = || Finished { result: b"x", learnt: &units, ..Finished::default() };
        assert!(store.finish_job(id, done(), 3).unwrap());
        assert!(!store.finish_job(id, done(), 3).unwrap());
        assert_eq!(store.units("m").unwrap().len(), learnt);
        assert_eq!(store.job(id).unwrap().unwrap().note.as_deref(), note);
    }
}
