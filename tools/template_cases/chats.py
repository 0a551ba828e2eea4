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
