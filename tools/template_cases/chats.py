"""Conversations that every chat template of tests/data/templates/*.jinja is rendered with."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get-weather",
        "description": "Tells the weather.\n  Anywhere.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "a town, like \"Ålesund\" <north>"},
                "days": {"type": "array", "items": {"type": "integer"}},
                "unit": {"enum": ["°C", "°F", None]},
                "near": {"type": "object", "properties": {"lat": {"type": ["number", "null"]}}},
            },
            "required": ["place"],
        },
        "return": {"type": "string"},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "", "parameters": None}}


def call(name, arguments, id="abc123DEF"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


USER = {"role": "user", "content": "  What is the weather like? \n"}
SYSTEM = {"role": "system", "content": "Be kind."}
ANSWER = {"role": "assistant", "content": "Mild."}
ASK = {
    "role": "assistant",
    "content": None,
    "tool_calls": [call("get-weather", {"place": "Ålesund", "days": [1, 2], "near": {"lat": 62.5}})],
}
ASK_TWO = {"role": "assistant", "content": "One moment.",
           "tool_calls": [call("get-weather", {"place": "a\"b"}), call("clock", {}, "x" * 9)]}
RESULT = {"role": "tool", "tool_call_id": "abc123DEF", "content": '{"temperature": 7.0}'}
THOUGHT = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nFour."}
REASONED = {"role": "assistant", "content": "Five.", "reasoning_content": "\nTwo and three.\n"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image"},
                                     {"type": "text", "text": "日本 🙂"}]}

CHATS = {
    "empty": {"messages": []},
    "one": {"messages": [USER], "add_generation_prompt": True},
    "system": {"messages": [SYSTEM, USER, ANSWER, USER], "add_generation_prompt": True},
    "answered": {"messages": [SYSTEM, USER, ANSWER]},
    "tools": {"messages": [SYSTEM, USER], "tools": [WEATHER, CLOCK], "add_generation_prompt": True},
    "called": {"messages": [USER, ASK, RESULT], "tools": [WEATHER], "add_generation_prompt": True},
    "called_twice": {"messages": [USER, ASK_TWO, RESULT, RESULT, ANSWER, USER], "tools": [WEATHER]},
    "thoughts": {"messages": [USER, THOUGHT, USER, REASONED, USER, THOUGHT],
                 "enable_thinking": True},
    "no_thoughts": {"messages": [SYSTEM, USER, REASONED, USER], "enable_thinking": False,
                    "add_generation_prompt": True, "date_string": "1 Jan 2030"},
    "parts": {"messages": [PARTS], "add_generation_prompt": True},
    "wrong_order": {"messages": [USER, USER, ANSWER]},
    "wrong_role": {"messages": [{"role": "poet", "content": "Ode"}, SYSTEM, USER]},
    "no_content": {"messages": [{"role": "user"}]},
}

# More of them, for published templates: what some templates have besides, and odd values.
PARTS_OF_ALL = [SYSTEM, {"role": "user", "content": [{"type": "text", "text": "<b>&\"'</b>"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "One."}]},
                {"role": "user", "content": [{"type": "text", "text": "And?"}]}]
ASK_TEXT = {"role": "assistant", "content": "",
            "tool_calls": [call("clock", '{"zone": "UTC"}', "123456789")]}
DOCUMENTS = [{"title": "One", "text": "First <text>.", "doc_id": 1}, {"title": "Two", "text": "B"}]
PUBLISHED = {
    "html": {"messages": [{"role": "user", "content": "<a href='x'>\"&amp;\" & 1 < 2</a>"}],
             "tools": [WEATHER], "add_generation_prompt": True},
    "parts_of_all": {"messages": PARTS_OF_ALL, "add_generation_prompt": True},
    "called_text": {"messages": [SYSTEM, USER, ASK_TEXT, RESULT, ANSWER, USER],
                    "tools": [CLOCK, WEATHER], "add_generation_prompt": True},
    "call_last": {"messages": [USER, ASK], "tools": [WEATHER]},
    "results": {"messages": [USER, ASK_TWO, RESULT, dict(RESULT, content="plain", name="clock")],
                "tools": [WEATHER, CLOCK], "add_generation_prompt": True},
    "documents": {"messages": [SYSTEM, USER], "documents": DOCUMENTS,
                  "add_generation_prompt": True},
    "thinking": {"messages": [SYSTEM, USER], "enable_thinking": True, "thinking": True,
                 "reasoning_effort": "high", "add_generation_prompt": True},
    "not_thinking": {"messages": [USER], "enable_thinking": False, "thinking": False,
                     "reasoning_effort": "low", "add_generation_prompt": True},
    "thought_call": {"messages": [USER, dict(ASK, reasoning_content="I must ask."), RESULT],
                     "tools": [WEATHER], "add_generation_prompt": True},
    "developer": {"messages": [{"role": "developer", "content": "Be brief."}, USER],
                  "tools": [CLOCK], "add_generation_prompt": True},
    "long": {"messages": [SYSTEM] + 6 * [USER, ANSWER] + [USER], "add_generation_prompt": True},
    "new_letters": {"messages": [{"role": "user", "content": "\U0001fae9\u1c89 \u0130\u1e9e"}],
                    "add_generation_prompt": True},
    "blank": {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": ""},
                           {"role": "assistant", "content": " \n"}]},
}
