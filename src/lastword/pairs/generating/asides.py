"""Answers in which the assistant speaks: of itself, to the user, or to refuse. None of them rewrites a text.

A sentence about computers that talk is none of these: the assistant's own words are in the first person, or they
speak to the user about the task. What the text itself says the answer may say, too.
"""

from __future__ import annotations

import re

_AI = r"(?:ai|a\.i\.|artificial intelligence|(?:large )?language model|llm|chat ?bot|neural network|computer program)"
_ASSISTANT = (
    r"(?:(?:virtual|digital|automated|helpful|friendly|writing|ai|ai-powered|smart|online) )+assistant"
)
_MACHINE = rf"(?:(?:\w+[- ])?(?:{_ASSISTANT}|{_AI}))"
# Not "an AI researcher": after the name comes the end, or what a machine is for.
_KIND = r"(?: (?:assistant|model|language model|system|chatbot|program|tool|agent|bot|software))*"
_ENDS = (
    r"(?=\s*(?:[^\w\s]|$)|\s+(?:and|or|so|but|that|who|which|whose|designed|trained|created|developed|built|made|"
    r"programmed|called|named|here|with|without|from|by|to|i|my|capable)\b)"
)
_I_AM = r"\bi(?:[’']m| am| was)(?: just| only| simply| merely| actually| not| still)*"
_TASK = r"(?:rewrit\w*|rephras\w*|paraphras\w*|reword\w*|simplif\w*|summari[sz]\w*)"
_SENTENCE = r"(?:sentence|text|passage|phrase|statement|prompt|request|query|input|paragraph)"
_START = r"(?:^|[.!?:]\s+)"
_CANNOT = (
    r"i (?:can(?:no|[’'])t|can not|could(?: not|n[’']t)|won[’']t|will not|am unable|am not able|do not|don[’']t)"
    r"|i[’']m (?:unable|not able)"
)

# In any answer, unless the text says so, too.
_ALWAYS = {
    "the assistant speaks of itself": (
        rf"{_I_AM} (?:an?|your|the) {_MACHINE}{_KIND}{_ENDS}",
        rf"\bas an? {_MACHINE}{_KIND}\b[^.!?]{{0,80}}\b(?:i|my|me)\b",
        rf"\b(?:i|my|me)\b[^.!?]{{0,60}}\bas an? {_MACHINE}{_KIND}{_ENDS}",
        r"\bi(?:[’']m| am) (?:smollm|chatgpt|gpt-?\d|claude|gemini|gemma|llama|qwen|mistral|phi|deepseek)\b",
        r"\bmy (?:name is (?:smollm|chatgpt|claude|gemini|qwen)|training data|knowledge cut-?off|programming|"
        r"developers)\b",
        r"\bi (?:was|am|have been) (?:\w+ )?(?:trained|created|developed|built|made|designed) by (?:hugging ?face|"
        r"openai|anthropic|google|meta|alibaba|microsoft|mistral)\b",
    ),
    "words to the user": (
        rf"^here(?:[’']s| is| are)\b[^.!?]{{0,80}}\b(?:version|{_SENTENCE}|{_TASK}|explanation|metaphor|question)s?\b",
        r"^(?:sure|certainly|of course|absolutely|okay|ok|alright|great|no problem|got it|understood|happy to help)"
        r"(?: thing)?\s*[!,.:–—-]+\s*(?:here\b|i\b|i[’']|let me\b|how about\b|my pleasure|"
        r"the (?:rewritten|simplified)\b)",
        rf"^(?:the |my |a )?(?:rewritten|paraphrased|simplified|rephrased|reworded|revised) {_SENTENCE}\b",
        rf"\b{_SENTENCE} (?:that )?you(?:[’']ve| have)? (?:\w+ )?(?:provided|gave|given|shared|sent|asked|"
        r"wrote|want)\b",
        rf"\byour (?:original |given )?(?:{_SENTENCE})\b",
        r"\blet me know (?:if|whether|what|how)\b",
        r"\bfeel free to (?:ask|let me|reach|contact|provide)\b",
        r"\bhope (?:this|that|it) (?:\w+ )?helps\b",
        r"\b(?:would you like|do you want|shall i|may i|should i) (?:me )?(?:to )?(?:help|assist|explain|provide|"
        rf"continue|{_TASK})\b",
        r"\bhow (?:can|may) i (?:help|assist) you\b",
        rf"\b(?:please|could you|can you) (?:please )?(?:provide|share|give|send|paste|type)(?: me)?(?: with)? "
        rf"(?:the|a|your|an) (?:\w+ )?{_SENTENCE}\b",
        rf"\bi(?:[’']ve| have|[’']ll| will|[’']d| would)?(?: be (?:happy|glad) to| try to| like to)? {_TASK} "
        rf"(?:the|this|your|it|that)\b",
        rf"\b(?:assist|help) you (?:with|to|in|by) (?:\w+ ){{0,3}}(?:{_SENTENCE}|{_TASK})\b",
    ),
    "refusal": (
        rf"(?:{_CANNOT})(?: be able)?(?: to)? (?:{_TASK}|fulfil\w*|comply|assist you|help you|assist with|"
        r"help with that)",
        r"\bi(?:[’']m| am) sorry,? but (?:i|as an?|this|that|your)\b",
        r"\bnot (?:possible|appropriate) for me to\b",
        r"\bi (?:must|have to) (?:respectfully )?(?:decline|refuse)\b",
    ),
}  # fmt: skip
# Only where the text does not speak in the first person: there, "I" can be nobody else.
_FIRST_PERSON = re.compile(r"\b(?:i|me|my|mine|myself|we|us|our)\b", re.IGNORECASE)
_WITHOUT_FIRST_PERSON = {
    "the assistant speaks of itself": (
        rf"{_I_AM} (?:designed|programmed|trained|built|developed|created|made|meant|intended|here|ready|happy|glad|"
        r"able)(?: specifically)? (?:to|by|for|on)\b",
        r"\bi (?:don[’']t|do not) have (?:\w+ )?(?:personal|feelings|emotions|opinions|beliefs|experiences|"
        r"consciousness|a body|access|the (?:ability|capability))\b",
        rf"{_I_AM} (?:an?|your) assistant{_ENDS}",
        r"\bmy (?:purpose|role|function|goal|job|task|capabilities|responses?) (?:is|are|as)\b",
    ),
    "refusal": (
        rf"{_START}(?:but |however,? |unfortunately,? |sorry,? )*(?:{_CANNOT})(?: be able)?(?: to)? (?:help|assist|"
        r"provide|answer|respond|complete|generate|create|write|give|offer|engage|access|browse|verify|translate|determine|"
        r"discuss|process|support|share|do|see|have enough|have sufficient|have any|understand|know)\b",
        rf"{_START}(?:i[’']?m sorry|i am sorry|sorry,|my apologies|i apologi[sz]e|apologies,)",
        rf"{_START}i(?:[’']m| am) not (?:sure|certain) (?:what|which|how|i|that|if)\b",
    ),
}


def _compiled(rules: dict[str, tuple[str, ...]]) -> list[tuple[str, re.Pattern[str]]]:
    return [(reason, re.compile(rule, re.IGNORECASE)) for reason, group in rules.items() for rule in group]


_RULES = _compiled(_ALWAYS)
_RULES_WITHOUT_FIRST_PERSON = _compiled(_WITHOUT_FIRST_PERSON)


def aside(answer: str, text: str) -> str:
    """Whether the assistant speaks in an answer, and how; "" if it does not.

    Args:
        answer: cleaned.
        text: that was to be rewritten.

    Returns:
        "the assistant speaks of itself", "words to the user", "refusal" or "".
    """
    rules = _RULES if _FIRST_PERSON.search(text) else [*_RULES, *_RULES_WITHOUT_FIRST_PERSON]
    return next((reason for reason, rule in rules if rule.search(answer) and not rule.search(text)), "")
