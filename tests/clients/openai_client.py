"""What OpenAI's own Python client does with a server. python3 openai_client.py BASE_URL"""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
model = client.models.list().data[0].id
assert client.models.retrieve(model).id == model

messages = [{"role": "user", "content": "Tell a tale."}]
chat = dict(model=model, messages=messages, max_tokens=16, temperature=0)
whole = client.chat.completions.create(**chat)
assert whole.choices[0].message.role == "assistant"
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

parts = []
usage = None
for chunk in client.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    parts += [choice.delta.content or "" for choice in chunk.choices]
assert "".join(parts) == whole.choices[0].message.content
assert usage == whole.usage

several = client.chat.completions.create(
    **{**chat, "temperature": 1}, n=3, seed=7, presence_penalty=0, user="me", stop=["\n\n\n"]
)
assert [choice.index for choice in several.choices] == [0, 1, 2]
parted = [{"role": "user", "content": [{"type": "text", "text": "Tell a tale."}]}]
same = client.chat.completions.create(**{**chat, "messages": parted})
assert same.choices[0].message.content == whole.choices[0].message.content

text = client.completions.create(model=model, prompt="Once upon a time", max_tokens=12, temperature=0)
echo = client.completions.create(
    model=model, prompt=["Once upon a time", "The king"], max_tokens=12, temperature=0, echo=True
)
assert echo.choices[0].text == "Once upon a time" + text.choices[0].text
stop = text.choices[0].text[4:8]
stopped = client.completions.create(
    model=model, prompt="Once upon a time", max_tokens=12, temperature=0, stop=stop
)
assert stopped.choices[0].finish_reason == "stop"
assert stopped.choices[0].text == text.choices[0].text.split(stop)[0]
joined = "".join(
    chunk.choices[0].text
    for chunk in client.completions.create(
        model=model, prompt="Once upon a time", max_tokens=12, temperature=0, stream=True
    )
)
assert joined == text.choices[0].text


def refusal(**change):
    try:
        client.chat.completions.create(**{**chat, **change})
    except openai.APIStatusError as error:
        return error
    raise AssertionError(change)


assert isinstance(refusal(model="other"), openai.NotFoundError)
assert refusal(model="other").code == "model_not_found"
assert refusal(temperature=5).param == "temperature"
assert refusal(max_tokens=1 << 20).code == "context_length_exceeded"
assert refusal(tools=[{"type": "function", "function": {"name": "f"}}]).param == "tools"

# Leaving in the middle.
stream = client.chat.completions.create(**{**chat, "max_tokens": 500}, stream=True)
next(iter(stream))
stream.close()
assert client.chat.completions.create(**chat).choices[0].message == whole.choices[0].message
print("ok")
