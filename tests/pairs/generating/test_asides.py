"""The assistant's own words are no rewriting; sentences about assistants, and people who say "I", are."""

from __future__ import annotations

import pytest

from lastword.pairs.generating.asides import aside

RIVER = "The river crosses three countries before it reaches the sea."
ITSELF, USER, REFUSAL = "the assistant speaks of itself", "words to the user", "refusal"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I'm an AI designed to help with texts.", ITSELF),
        ("I am a large language model trained on text.", ITSELF),
        ("As an AI language model, I have no rivers.", ITSELF),
        ("As a chatbot, my knowledge of rivers is limited.", ITSELF),
        ("The river is long, but I can't swim in it as an AI.", ITSELF),
        ("I’m just a computer program, so rivers mean nothing to me.", ITSELF),
        ("I'm your virtual assistant. The river crosses three countries.", ITSELF),
        ("I am SmolLM, and the river is long.", ITSELF),
        ("The river is long. I was created by Hugging Face.", ITSELF),
        ("I was trained to answer questions about rivers.", ITSELF),
        ("I don't have personal opinions about rivers.", ITSELF),
        ("I do not have access to maps, but the river is long.", ITSELF),
        ("My training data has three countries in it.", ITSELF),
        ("My purpose is to explain rivers.", ITSELF),
        ("I'm programmed to be brief: it is a long river.", ITSELF),
        ("I'm here to help. The river crosses borders.", ITSELF),
        ("I am an assistant, and this is a river.", ITSELF),
        ("Sure, here is a river in simple words", USER),
        ("Certainly! I can make it simpler", USER),
        ("Of course — here you go. A river crosses borders.", USER),
        ("Here's a simpler version of the sentence for a child", USER),
        ("Here is the rewritten text", USER),
        ("The rewritten sentence is that a river crosses borders", USER),
        ("A river crosses borders. Let me know if you need more.", USER),
        ("A river crosses borders. I hope this helps!", USER),
        ("A river crosses borders. Feel free to ask for another.", USER),
        ("The sentence you provided is about a river.", USER),
        ("The text that you've given says a river is long.", USER),
        ("Your sentence speaks of a river.", USER),
        ("Please provide the original sentence.", USER),
        ("Could you please share the text?", USER),
        ("I have rewritten the sentence with more detail.", USER),
        ("I'd be happy to paraphrase this.", USER),
        ("Would you like me to explain the river?", USER),
        ("How can I assist you with rivers?", USER),
        ("I'm sorry, but I can't help with that.", REFUSAL),
        ("I cannot rewrite this sentence.", REFUSAL),
        ("I'm unable to fulfil this request.", REFUSAL),
        ("Unfortunately, I can not provide a metaphor.", REFUSAL),
        ("The river is long. However, I won't be able to give more detail.", REFUSAL),
        ("My apologies, it is a river.", REFUSAL),
        ("I do not have enough information about the river.", REFUSAL),
        ("It is not appropriate for me to compare rivers.", REFUSAL),
        ("I must respectfully decline.", REFUSAL),
        ("I'm not sure what the river means.", REFUSAL),
    ],
)
def test_the_assistant_speaks(answer: str, reason: str) -> None:
    assert aside(answer, RIVER) == reason


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Artificial intelligence is changing how rivers are mapped.", RIVER),
        (
            "As a language model, GPT-3 can write about rivers.",
            "GPT-3, a language model, writes about rivers.",
        ),
        ("He is an AI researcher who cannot swim.", "He studies AI and cannot swim."),
        ("I am an AI researcher.", "My field is AI."),
        ("The chatbot apologised and could not help its users.", "The chatbot failed."),
        ("What can a virtual assistant do about a flood?", RIVER),
        ("Could you provide more information about the river?", RIVER),
        ("How can people help to protect the river?", RIVER),
        ("Can you explain why the river is so long?", RIVER),
        ("Okay, class, imagine a long walk through three countries.", RIVER),
        ("Here, a river crosses three borders.", RIVER),
        ("Here is where the river begins.", RIVER),
        ("Sure-footed goats climb the rocks.", "Goats climb rocks well."),
        ("Of course the river is long.", RIVER),
        ("This sentence means that a river crosses borders.", RIVER),
        ("I cannot swim, so rivers scare me.", "I can't swim and I fear rivers."),
        ("I am sorry that I was late.", "I'm sorry for my delay."),
        ("I was trained to be a pilot.", "My training made me a pilot."),
        ("I am an assistant professor of chemistry.", "My post is that of an assistant professor."),
        ("I do not have access to the cellar.", "The cellar is closed to me."),
        ("I can't help falling in love.", "I can't help it: I fall in love."),
        ("Your request has been denied by the court.", "The court denied your request."),
        ("Her assistant was trained by Google.", "Google trained her assistant."),
        ("Let me be your river.", RIVER),
        ("The river is a traveller that never shows a passport.", RIVER),
        ("King Charles I was crowned by the bishop.", "The bishop crowned King Charles I."),
        ("World War I was not caused by rivers.", RIVER),
    ],
)
def test_a_rewriting_is_left_alone(answer: str, text: str) -> None:
    assert aside(answer, text) == ""
