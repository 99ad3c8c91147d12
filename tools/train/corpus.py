"""From a folder of text files to arrays of token ids: which documents are trained on, which are held out, in which tokens?

corpus.py TEXT -o WORK [--focus LIST] [--vocab 4096] [--seed 1] writes WORK/tokenizer.json, WORK/train.npy, WORK/heldout.npy (uint16
ids, every document behind one <|endoftext|>) and WORK/corpus.json (counts, sizes and the text's SHA-256). With a list of file names,
one pattern a line, also focus_train.npy and focus_heldout.npy: the documents of those files alone, parted alike.
"""
import argparse
import fnmatch
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"  # id 0: stands before every document, so that it also ends the one before
HELD_OUT = 0.02        # share of the documents
MIN_DOCUMENT = 400     # characters; shorter ones join the next


def is_title(paragraph):
    """A short line without small letters: the title of a story or a chapter."""
    return len(paragraph) < 100 and "\n" not in paragraph and not re.search(r"[a-z]", paragraph) and re.search(r"[A-Z]", paragraph)


def documents_of(text):
    """The stories or chapters of one file, without their titles."""
    document = []
    for paragraph in re.split(r"\n{2,}", text.strip()):
        if is_title(paragraph) and sum(map(len, document)) >= MIN_DOCUMENT:
            yield "\n\n".join(document)
            document = []
        elif not is_title(paragraph):
            document.append(paragraph)
    if document:
        yield "\n\n".join(document)


def read_documents(folder):
    """({file name: documents}, SHA-256 over all files) in the order of the file names."""
    digest, documents = hashlib.sha256(), {}
    for file in sorted(Path(folder).rglob("*.txt")):
        data = file.read_bytes()
        digest.update(data)
        documents[file.name] = list(documents_of(data.decode("utf-8")))
    if not any(documents.values()):
        raise SystemExit(f"{folder}: no text in any *.txt file")
    return documents, digest.hexdigest()


def focus_of(documents, listing):
    """The documents of the files that the list names; a pattern that names none is a mistake in it."""
    chosen = set()
    for pattern in (line.split("#")[0].strip() for line in Path(listing).read_text().splitlines()):
        found = fnmatch.filter(documents, pattern) if pattern else []
        if pattern and not found:
            raise SystemExit(f"{listing}: no file is called {pattern}")
        chosen.update(found)
    return [document for name in documents if name in chosen for document in documents[name]]


def split(documents, seed):
    """(train, held out), chosen by the document's own hash, so that adding documents moves no other."""
    def is_held_out(document):
        number = hashlib.sha256(f"{seed}:{document}".encode()).digest()[:8]
        return int.from_bytes(number, "big") < HELD_OUT * 2**64
    held_out = [d for d in documents if is_held_out(d)] or documents[-1:]
    chosen = set(held_out)
    return [d for d in documents if d not in chosen] or documents, held_out


def train_tokenizer(documents, vocab):
    """Byte-level BPE with GPT-2's word expression, as `tokenizer.ggml.pre` = gpt-2 means it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(documents, trainer)
    if tokenizer.get_vocab_size() != vocab:
        raise SystemExit(f"the text gives only {tokenizer.get_vocab_size()} of {vocab} tokens: ask for a smaller --vocab")
    return tokenizer


def encode(tokenizer, documents):
    ids = []
    for encoding in tokenizer.encode_batch(documents):
        ids.append(0)
        ids += encoding.ids
    return np.array(ids, np.uint16)


def prepare(text, work, focus, vocab, seed):
    work.mkdir(parents=True, exist_ok=True)
    documents, digest = read_documents(text)
    parts = dict(zip(("train", "heldout"), split([d for of_file in documents.values() for d in of_file], seed)))
    tokenizer = train_tokenizer(parts["train"], vocab)
    tokenizer.save(str(work / "tokenizer.json"))
    if focus:
        parts |= dict(zip(("focus_train", "focus_heldout"), split(focus_of(documents, focus), seed)))
    facts = {"files": len(documents), "sha256": digest, "vocab": vocab, "seed": seed}
    for name, part in parts.items():
        ids = encode(tokenizer, part)
        np.save(work / f"{name}.npy", ids)
        facts[name] = {"documents": len(part), "bytes": sum(len(d.encode()) for d in part), "tokens": len(ids)}
    (work / "corpus.json").write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("-o", "--work", type=Path, required=True)
    parser.add_argument("--focus", type=Path, metavar="LIST", help="names of files, one pattern a line, # begins a comment")
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    print(json.dumps(prepare(options.text, options.work, options.focus, options.vocab, options.seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
