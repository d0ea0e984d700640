use super::*;
use crate::batches::batch::Usage;
use crate::batches::batch::tests::batch;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn file(id: &str, created: i64, content: &[u8]) -> StoredFile {
    StoredFile {
        id: id.to_owned(),
        created,
        name: "a.jsonl".to_owned(),
        purpose: Purpose::Batch,
        bytes: content.len() as u64,
        expires: created + 50,
    }
}

fn answer(text: &str, failed: bool) -> Answer {
    let usage = Usage { input: 3, cached: 1, output: 2 };
    Answer { bytes: text.as_bytes().to_vec(), failed, usage }
}

#[test]
fn files_are_kept_in_pieces_and_within_their_limit() {
    let folder = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..2_500_000u32).map(|n| n as u8).collect();
    {
        let store = Store::open(folder.path()).unwrap();
        let record = file("f", 1, &large);
        store.create_file(&record, &large, 3_000_000).unwrap().unwrap();
        let refused = store.create_file(&file("g", 2, &large), &large, 3_000_000).unwrap();
        assert_eq!(refused, Err(2_500_000));
        assert!(matches!(Store::open(folder.path()), Err(StoreError::Open(_))));
    }
    assert!(Store::is_in(folder.path()));
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.file("f").unwrap().map(|file| file.bytes), Some(2_500_000));
    let (first, next) = store.content("f", 0).unwrap();
    assert_eq!((first.len(), next), (1 << 20, Some(1)));
    assert!(store.whole("f").unwrap().unwrap() == large);
    assert_eq!((store.whole("g").unwrap(), store.file("g").unwrap()), (None, None));
    assert_eq!(store.delete_file("f").unwrap(), Deleted::Done);
    assert_eq!(store.delete_file("f").unwrap(), Deleted::Missing);
    assert!(store.content("f", 0).unwrap().0.is_empty());
}

#[test]
fn a_batch_goes_through_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let input = b"1\n2\n3\n";
    let first = StoredBatch { request: Some("key".to_owned()), ..batch("b", 10) };
    assert_eq!(store.create_batch(&first, "print", 2).unwrap(), Created::NoFile);
    store.create_file(&file("in", 1, input), input, 1000).unwrap().unwrap();
    assert_eq!(store.create_batch(&first, "print", 2).unwrap(), Created::New);
    let again = StoredBatch { request: Some("key".to_owned()), ..batch("c", 11) };
    let known = store.create_batch(&again, "print", 2).unwrap();
    assert_eq!(known, Created::Known(Box::new(first.clone())));
    assert_eq!(store.create_batch(&again, "other", 2).unwrap(), Created::Other);
    assert_eq!(store.create_batch(&batch("d", 9), "", 2).unwrap(), Created::New);
    assert_eq!(store.create_batch(&batch("e", 12), "", 2).unwrap(), Created::TooMany(2));
    assert_eq!(store.open_batches().unwrap(), ["d", "b"]);
    assert_eq!(store.delete_file("in").unwrap(), Deleted::InUse("d".to_owned()));

    // No answers before it is in progress.
    assert!(!store.put_answers("b", &[(1, answer("early", false))]).unwrap());
    let begin = |batch: &mut StoredBatch| batch.reach(Status::InProgress, 20);
    assert!(store.change_batch("b", begin).unwrap().unwrap().1);
    assert!(!store.change_batch("b", begin).unwrap().unwrap().1);
    assert!(store.change_batch("none", begin).unwrap().is_none());
    store
        .change_batch("b", |batch| {
            batch.tries = 3;
            true
        })
        .unwrap();
    let answers = [(3, answer("three\n", false)), (1, answer("one\n", true))];
    assert!(store.put_answers("b", &answers).unwrap());
    let half = store.batch("b").unwrap().unwrap();
    assert_eq!((half.completed, half.failed, half.tries), (1, 1, 0));
    assert_eq!(half.usage, Usage { input: 6, cached: 2, output: 4 });
    assert_eq!(store.answered(&half).unwrap().into_iter().collect::<Vec<_>>(), [1, 3]);
    // Its files are not there before its end, but count.
    assert_eq!(store.file("b-out").unwrap(), None);
    let refused = store.create_file(&file("x", 1, b"1234"), b"1234", 19).unwrap();
    assert_eq!(refused, Err(input.len() as u64 + 10));

    assert!(!store.close_batch("b", Status::Completed, &[], 30, WEEK).unwrap(), "not finalizing");
    assert!(!store.close_batch("b", Status::Finalizing, &[], 30, WEEK).unwrap(), "no end");
    let rest = [(2, b"two\n".to_vec())];
    assert!(store.close_batch("b", Status::Expired, &rest, 30, WEEK).unwrap());
    assert!(!store.close_batch("b", Status::Expired, &rest, 31, WEEK).unwrap());
    assert!(!store.put_answers("b", &answers).unwrap());
    assert_eq!(store.whole("b-out").unwrap().unwrap(), b"three\n");
    assert_eq!(store.whole("b-err").unwrap().unwrap(), b"one\ntwo\n");
    let record = store.file("b-err").unwrap().unwrap();
    assert_eq!((record.bytes, record.purpose), (8, Purpose::BatchOutput));
    assert_eq!(record.expires, after(30, WEEK));
    assert_eq!(store.open_batches().unwrap(), ["d"]);
    let ended = store.batch("b").unwrap().unwrap();
    assert_eq!((ended.ended(), ended.failed, ended.total), (Some(30), 1, 0));
}

#[test]
fn what_is_old_goes_unless_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.create_file(&file("in", 1, b"1\n"), b"1\n", 1000).unwrap().unwrap();
    store.create_file(&file("late", 1000, b"1\n"), b"1\n", 1000).unwrap().unwrap();
    let first = StoredBatch { request: Some("key".to_owned()), ..batch("b", 10) };
    store.create_batch(&first, "print", 9).unwrap();
    let second = Duration::from_micros(1);
    assert_eq!(store.delete_old(60, second).unwrap(), (0, 0), "an open batch needs it");
    store.change_batch("b", |batch| batch.reach(Status::InProgress, 20)).unwrap();
    store.put_answers("b", &[(1, answer("one\n", false))]).unwrap();
    store.change_batch("b", |batch| batch.reach(Status::Finalizing, 21)).unwrap();
    assert!(store.close_batch("b", Status::Completed, &[], 100, second).unwrap());
    assert_eq!(store.delete_old(101, second).unwrap(), (1, 0));
    assert_eq!(store.delete_old(102, second).unwrap(), (1, 1));
    assert_eq!(store.batches().unwrap(), []);
    assert_eq!(store.files().unwrap().len(), 1);
    assert_eq!(store.create_batch(&batch("c", 10), "", 9).unwrap(), Created::NoFile);
    // The name of the request is free again.
    let again = StoredBatch { input: "late".to_owned(), ..first };
    assert_eq!(store.create_batch(&again, "other", 9).unwrap(), Created::New);
}
