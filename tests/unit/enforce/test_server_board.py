"""The board: what one process posts, others read whole, and only the newest."""

import multiprocessing
import pickle
import threading

from rateproof.enforce.server.board import Board


def test_nothing_is_posted_at_first():
    board = Board()
    assert board.mark() == 0


def test_the_newest_notice_is_read_and_an_older_mark_still_reads_its_own():
    board, marks = Board(), []
    for notice in (b"one", b"2", b"three" * 10_000):
        board.post(notice)
        marks.append(board.mark())
        assert board.read(marks[-1]) == notice
    assert board.read(marks[0]) == b"one"
    assert len(set(marks)) == 3


def test_posting_the_same_again_is_seen():
    board = Board()
    board.post(b"same")
    before = board.mark()
    board.post(b"same")
    assert board.mark() != before


def _read(board, pipe):
    pipe.send(board.read(board.mark()))
    pipe.recv()
    pipe.send(board.read(board.mark()))


def test_a_forked_process_sees_what_was_posted_before_it_began_and_afterwards():
    context = multiprocessing.get_context("fork")
    board = Board()
    board.post(b"before")
    ours, theirs = context.Pipe()
    process = context.Process(target=_read, args=(board, theirs))
    process.start()
    try:
        assert ours.poll(30)
        assert ours.recv() == b"before"
        board.post(b"after")
        ours.send(None)
        assert ours.poll(30)
        assert ours.recv() == b"after"
    finally:
        process.kill()
        process.join()


def test_what_is_read_is_never_torn():
    board, torn = Board(), []
    board.post(bytes(1000))
    reading = pickle.loads(pickle.dumps(board))
    over = threading.Event()

    def watch():
        while not over.is_set():
            notice = reading.read(reading.mark())
            if len(set(notice)) != 1 or len(notice) != 1000 + notice[0]:
                torn.append(notice)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(2000):
        board.post(bytes([number % 256]) * (1000 + number % 256))
    over.set()
    watcher.join()
    assert not torn
