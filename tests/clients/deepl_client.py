"""The official deepl client, unchanged, against a server.

    pip install deepl==1.32.0
    python tests/clients/deepl_client.py --url http://127.0.0.1:8080 [--key KEY]

What a small model writes is not judged here; that the client understands the
server is.
"""

import io
import tempfile
import zipfile
from pathlib import Path

import deepl
import deepl.http_client
from deepl.api_data import MultilingualGlossaryDictionaryEntries

from checks import check, main


class Context:
    def __init__(self, args):
        self.url, self.key = args.url, args.key
        # The model may be slow beside other tests.
        deepl.http_client.min_connection_timeout = 300.0
        self.client = deepl.DeepLClient(self.key, server_url=self.url)


@check
def one_text(c):
    result = c.client.translate_text("Bonjour le monde.", source_lang="FR", target_lang="EN-US")
    assert isinstance(result, deepl.TextResult) and result.text.strip()
    assert result.detected_source_lang == "FR", result.detected_source_lang
    assert result.billed_characters == 17, result.billed_characters


@check
def several_texts_whose_language_is_detected(c):
    texts = [
        "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
        "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
        "12.5",
    ]
    results = c.client.translate_text(texts, target_lang="EN-GB")
    assert [r.detected_source_lang for r in results][:2] == ["FR", "ES"]
    assert results[2].text == "12.5"


@check
def lines_stay_lines(c):
    text = "1.\n\n  2.\n3."
    result = c.client.translate_text(text, source_lang="FR", target_lang="EN-US")
    assert result.text == text, repr(result.text)


@check
def xml_keeps_its_tags(c):
    result = c.client.translate_text(
        "Le <b>traité</b> du <x>12/3</x> est <br/> là &amp; ici.",
        source_lang="FR",
        target_lang="EN-US",
        tag_handling="xml",
        ignore_tags=["x"],
    )
    for tag in ["<b>", "</b>", "<x>12/3</x>", "<br/>"]:
        assert result.text.count(tag) == 1, result.text


@check
def options_are_taken(c):
    c.client.translate_text(
        "Bonjour.",
        source_lang="FR",
        target_lang="EN-US",
        context="Une lettre.",
        formality=deepl.Formality.PREFER_MORE,
        split_sentences=deepl.SplitSentences.OFF,
        preserve_formatting=True,
    )


@check
def mistakes_are_told(c):
    for arguments, says in [
        ({"target_lang": "TLH"}, "no language that we know"),
        ({"target_lang": "DE", "tag_handling": "yaml"}, "send xml or html"),
        ({"target_lang": "DE", "custom_instructions": ["Be brief."]}, "custom_instructions"),
    ]:
        try:
            c.client.translate_text("Bonjour.", **arguments)
        except deepl.DeepLException as error:
            assert says in str(error), error
        else:
            raise AssertionError(arguments)


@check
def glossaries_are_kept(c):
    entries = {"traité": "treaty", "loi": "law"}
    made = c.client.create_glossary("Terms", "FR", "EN", entries)
    assert made.ready and made.entry_count == 2
    assert (made.source_lang, made.target_lang) == ("FR", "EN")
    assert made.creation_time.year >= 2024
    assert c.client.get_glossary(made.glossary_id).name == "Terms"
    assert made.glossary_id in [g.glossary_id for g in c.client.list_glossaries()]
    assert c.client.get_glossary_entries(made) == entries
    result = c.client.translate_text_with_glossary("La loi.", made)
    assert result.text
    c.client.delete_glossary(made)
    try:
        c.client.get_glossary(made.glossary_id)
    except deepl.GlossaryNotFoundException:
        pass
    else:
        raise AssertionError("it is still there")


@check
def glossaries_of_csv_are_read(c):
    made = c.client.create_glossary_from_csv(
        "CSV", "FR", "EN", csv_data='loi,law,fr,en\n"traité, le","treaty, the",fr,en\n'
    )
    assert c.client.get_glossary_entries(made)["traité, le"] == "treaty, the"
    c.client.delete_glossary(made)


@check
def multilingual_glossaries_are_kept(c):
    dictionary = MultilingualGlossaryDictionaryEntries
    made = c.client.create_multilingual_glossary(
        "Many",
        [dictionary("FR", "EN", {"loi": "law"}), dictionary("FR", "DE", {"loi": "Gesetz"})],
    )
    pairs = [(d.source_lang, d.target_lang, d.entry_count) for d in made.dictionaries]
    assert pairs == [("FR", "EN", 1), ("FR", "DE", 1)], pairs
    key = made.glossary_id
    changed = c.client.update_multilingual_glossary_name(key, "More")
    assert changed.name == "More"
    changed = c.client.update_multilingual_glossary_dictionary(
        key, dictionary("FR", "EN", {"traité": "treaty"})
    )
    assert [d.entry_count for d in changed.dictionaries if d.target_lang == "EN"] == [2]
    replaced = c.client.replace_multilingual_glossary_dictionary(
        key, dictionary("FR", "DE", {"traité": "Vertrag"})
    )
    assert (replaced.target_lang, replaced.entry_count) == ("DE", 1)
    found = c.client.get_multilingual_glossary_entries(key, "FR", "DE").dictionaries
    assert found[0].entries == "traité\tVertrag", found[0].entries
    c.client.delete_multilingual_glossary_dictionary(key, source_lang="FR", target_lang="DE")
    assert len(c.client.get_multilingual_glossary(key).dictionaries) == 1
    assert key in [g.glossary_id for g in c.client.list_multilingual_glossaries()]
    c.client.delete_multilingual_glossary(key)


@check
def documents_are_translated(c):
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "lettre.md"), Path(folder, "letter.md")
        before.write_text("# 1.5\n\nBonjour le **monde**.\n", encoding="utf-8")
        status = c.client.translate_document_from_filepath(
            before,
            after,
            source_lang="FR",
            target_lang="EN-US",
            formality=deepl.Formality.PREFER_MORE,
        )
        text = after.read_text(encoding="utf-8")
    assert status.done and status.billed_characters == 17, status.billed_characters
    assert text.startswith("# 1.5\n\n") and text.count("**") == 2, text


@check
def documents_have_a_key_and_a_glossary(c):
    made = c.client.create_glossary("Documents", "FR", "EN", {"monde": "world"})
    handle = c.client.translate_document_upload(
        "12.5\n", source_lang="FR", target_lang="EN-GB", filename="a.txt", glossary=made
    )
    status = c.client.translate_document_wait_until_done(handle, timeout_s=300)
    assert status.ok and status.done and status.error_message is None
    output = io.BytesIO()
    c.client.translate_document_download(handle, output)
    assert output.getvalue() == b"12.5\n"
    wrong = deepl.DocumentHandle(handle.document_id, handle.document_key[::-1])
    try:
        c.client.translate_document_get_status(wrong)
    except deepl.DeepLException as error:
        assert "there is no document with the id" in str(error), error
    else:
        raise AssertionError("a wrong key was taken")
    c.client.delete_glossary(made)


@check
def mistakes_of_documents_are_told(c):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "no document")
    for name, content, arguments, says in [
        ("a.xyz", b"Bonjour.", {}, "cannot tell what kind of file"),
        ("a.docx", archive.getvalue(), {}, "file:"),
        ("a.txt", b"Bonjour.", {"output_format": "docx"}, "output_format"),
        ("a.txt", b"Bonjour.", {"extra_body_parameters": {"colour": "red"}}, "colour"),
    ]:
        try:
            c.client.translate_document_upload(
                content, target_lang="DE", filename=name, **arguments
            )
        except deepl.DeepLException as error:
            assert says in str(error), error
        else:
            raise AssertionError(name)


@check
def languages_are_listed(c):
    sources = {language.code for language in c.client.get_source_languages()}
    targets = {language.code: language for language in c.client.get_target_languages()}
    assert {"FR", "EN", "AR", "ZH", "RU", "ES"} <= sources and "EN-US" not in sources
    assert {"FR", "EN-US", "EN-GB", "PT-BR"} <= set(targets)
    assert targets["FR"].supports_formality is True
    pairs = {(p.source_lang, p.target_lang) for p in c.client.get_glossary_languages()}
    assert ("fr", "en") in {(a.lower(), b.lower()) for a, b in pairs}


@check
def usage_is_counted(c):
    usage = c.client.get_usage()
    assert usage.character.valid and usage.character.count > 0 and not usage.any_limit_reached


@check
def a_wrong_key_is_told(c):
    if c.key == "none":
        return
    try:
        deepl.DeepLClient("wrong", server_url=c.url).get_usage()
    except deepl.AuthorizationException:
        return
    raise AssertionError("a wrong key was taken")


if __name__ == "__main__":
    main(__doc__, Context, ["--url"], {"--key": "none"})
