"""The mail sink of `tenantry dev`, as a person and a program read it."""

import smtplib
from email.message import EmailMessage

import httpx

from gateway.development.mail.server import MailSink


def _send(sink: MailSink, subject: str, html: str, *recipients: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@acme.example", recipients[0], subject
    message.set_content("the text")
    message.add_alternative(html, subtype="html")
    with smtplib.SMTP(sink.host, sink.port, timeout=10) as client:
        client.send_message(message, to_addrs=recipients)


def test_every_message_can_be_read_as_json_and_as_a_page(mail_sink: MailSink) -> None:
    _send(mail_sink, "Hello", "<b>the html</b>", "one@json.example", "two@json.example")
    with httpx.Client(base_url=mail_sink.url, trust_env=False) as client:
        [found] = client.get("/messages", params={"to": "two@json.example"}).json()["data"]
        assert found["recipients"] == ["one@json.example", "two@json.example"]
        assert (found["subject"], found["text"].strip(), found["html"].strip()) == (
            "Hello",
            "the text",
            "<b>the html</b>",
        )
        assert client.get(f"/messages/{found['number']}").json() == found
        assert f'<a href="/view/{found["number"]}">Hello</a>' in client.get("/").text
        assert "the text" in client.get(f"/view/{found['number']}").text
        assert client.get("/messages/999999").status_code == client.get("/view/999999").status_code == 404


def test_a_message_with_markup_is_shown_and_not_run(mail_sink: MailSink) -> None:
    """SE2: what arrives is other people's, also here."""
    _send(mail_sink, "<script>alert(1)</script>", "<script>alert(2)</script>", "x@markup.example")
    with httpx.Client(base_url=mail_sink.url, trust_env=False) as client:
        [found] = client.get("/messages", params={"to": "x@markup.example"}).json()["data"]
        for page in ("/", f"/view/{found['number']}"):
            assert "<script>" not in client.get(page).text
        assert "sandbox=" in client.get(f"/view/{found['number']}").text


def test_messages_can_be_forgotten(mail_sink: MailSink) -> None:
    _send(mail_sink, "Soon gone", "-", "x@gone.example")
    with httpx.Client(base_url=mail_sink.url, trust_env=False) as client:
        assert client.delete("/messages").status_code == 204
        assert client.get("/messages").json() == {"data": []}
        assert "No mail so far" in client.get("/").text
