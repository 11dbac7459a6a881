//! Files, pipes and disks that behave, and that do not.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::writer::Queue;
use super::*;
use crate::telemetry::metrics::{FilesystemStat, FilesystemStats, Registry, StatsSpec};

fn registry() -> Arc<Registry> {
    Registry::new(StatsSpec::default(), 1).unwrap()
}

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("outrigger-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn line(file: &LogFile, text: &str) {
    file.line(|out| out.extend_from_slice(text.as_bytes()));
}

/// Waits until the file's thread has nothing left to do.
fn settle(queue: &Queue) {
    let deadline = Instant::now() + Duration::from_secs(10);
    queue.flush(deadline).unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
}

/// A queue before this file, its stats, and what it has dropped.
fn queue(file: File) -> (Arc<Queue>, FilesystemStats, Arc<AtomicU64>) {
    let stats = FilesystemStats::detached(1);
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = Counter::from_arc(dropped.clone());
    (Queue::start(file, None, stats.clone(), counter).unwrap(), stats, dropped)
}

#[test]
fn lines_of_all_threads_arrive_whole() {
    let path = path("threads");
    let registry = registry();
    let file = LogFile::open(path.to_str().unwrap(), &registry).unwrap();
    let again = LogFile::open(path.to_str().unwrap(), &registry).unwrap();
    assert!(Arc::ptr_eq(&file, &again), "shared by path");
    std::thread::scope(|scope| {
        for letter in ["a", "b", "c"] {
            let file = &file;
            scope.spawn(move || {
                let text = letter.repeat(99) + "\n";
                (0..2_000).for_each(|_| line(file, &text));
            });
        }
    });
    line(&file, "here\n");
    // This thread's line is still in its buffer, those of the others went with them.
    settle(&file.queue);
    let text = std::fs::read_to_string(&path).unwrap();
    let whole = |line: &&str| line.len() == 99 && line.bytes().all(|b| b == line.as_bytes()[0]);
    assert_eq!(text.lines().filter(whole).count(), 6_000);
    assert_eq!(text.lines().count(), 6_001);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_line_waits_in_the_buffer_until_it_is_full_or_old() {
    let path = path("waits");
    let file = LogFile::open(path.to_str().unwrap(), &registry()).unwrap();
    line(&file, "one\n");
    flush_when_due();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    line(&file, &("x".repeat(64 * 1024) + "\n"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::metadata(&path).unwrap().len() < 64 * 1024 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 64 * 1024 + 5);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_panic_leaves_no_part_of_a_line() {
    let path = path("panic");
    let file = LogFile::open(path.to_str().unwrap(), &registry()).unwrap();
    line(&file, "one\n");
    let broken = std::panic::AssertUnwindSafe(|| {
        file.line(|out| {
            out.extend_from_slice(b"half");
            panic!("on purpose");
        });
    });
    assert!(std::panic::catch_unwind(broken).is_err());
    line(&file, "two\n");
    settle(&file.queue);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let (path, moved) = (path("log"), path("log.1"));
    let file = LogFile::open(path.to_str().unwrap(), &registry()).unwrap();
    line(&file, "old\n");
    settle(&file.queue);
    std::fs::rename(&path, &moved).unwrap();
    reopen();
    line(&file, "new\n");
    settle(&file.queue);
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), "old\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(moved).unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    assert!(LogFile::open("/nonexistent/dir/log", &registry()).is_err());
    assert!(LogFile::open("/", &registry()).is_err());
    for path in ["/dev/stdout", "/dev/stderr"] {
        assert!(LogFile::open(path, &registry()).is_ok());
    }
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_no_time() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (queue, stats, dropped) = queue(File::from(OwnedFd::from(writer)));
    let text = [b'x'; 1023].into_iter().chain([b'\n']).collect::<Vec<u8>>();
    let started = Instant::now();
    for _ in 0..200 {
        queue.push(text.repeat(32), 32);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "nobody waits");
    let lost = dropped.load(Ordering::Relaxed);
    // The pipe holds two buffers, the queue 64, and one is in the thread's hands.
    assert!((130 * 32..=136 * 32).contains(&lost), "{lost}");
    let read = std::thread::spawn(move || {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).map(|_| text.iter().filter(|b| **b == b'\n').count())
    });
    settle(&queue);
    drop(queue);
    // The thread has ended with the queue, and closed the pipe.
    let arrived = read.join().unwrap().unwrap() as u64;
    assert_eq!(arrived + lost, 200 * 32, "every line is counted");
    assert_eq!(stats.count(FilesystemStat::write_completed), arrived / 32);
}

#[test]
fn a_full_disk_costs_lines() {
    let file = File::options().write(true).open("/dev/full").unwrap();
    let (queue, stats, dropped) = queue(file);
    queue.push(b"a\nb\n".to_vec(), 2);
    queue.push(b"c\n".to_vec(), 1);
    settle(&queue);
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    assert_eq!(stats.count(FilesystemStat::write_failed), 2);
    assert_eq!(stats.count(FilesystemStat::write_completed), 0);
}

#[test]
fn stats_are_envoys() {
    let path = path("stats");
    let registry = registry();
    let file = LogFile::open(path.to_str().unwrap(), &registry).unwrap();
    let stats: FilesystemStats = registry.stats("filesystem.");
    line(&file, "12345\n");
    line(&file, "678\n");
    assert_eq!(stats.count(FilesystemStat::write_buffered), 2);
    assert_eq!(stats.level(FilesystemStat::write_total_buffered), 10);
    settle(&file.queue);
    assert_eq!(stats.count(FilesystemStat::write_completed), 1);
    assert_eq!(stats.level(FilesystemStat::write_total_buffered), 0);
    std::fs::remove_file(path).unwrap();
}
