from kugetsu.messages import AssistantMessage, Image, Message, Text, Thinking, ToolCall, ToolResult, UserMessage, user
from kugetsu.models.turns import GO_ON, NO_OUTPUT, AssistantTurn, Turn, UserTurn, turns

CALL = ToolCall("1", "read", "{}")
RESULT = ToolResult("1", "read", (Text("file"),))
PICTURE = Image("aGk=", "image/png")


def of(*messages: Message, images: bool = True) -> list[Turn]:
    return turns(messages, model="p/m", images=images)


def test_results_stand_right_behind_their_calls_in_the_order_of_the_calls() -> None:
    other = ToolCall("2", "ls", "{}")
    answer = ToolResult("2", "ls", (Text("dir"),))
    assert of(user("go"), AssistantMessage((CALL, other)), user("stop"), answer, RESULT) == [
        UserTurn(content=[Text("go")]),
        AssistantTurn([CALL, other]),
        UserTurn([RESULT, answer], [Text("stop")]),
    ]


def test_neighbours_of_one_side_become_one_turn() -> None:
    said = of(user("a"), user("b"), AssistantMessage((Text("c"),)), AssistantMessage((Text("d"),)), user("e"))
    assert said == [
        UserTurn(content=[Text("a"), Text("b")]),
        AssistantTurn([Text("c"), Text("d")]),
        UserTurn(content=[Text("e")]),
    ]


def test_what_is_empty_is_left_out() -> None:
    blank = AssistantMessage((Text(" \n"), Thinking("hm", "sig")), "aborted")
    empty = UserMessage((Text(""),))
    assert of(user("a"), blank, empty, AssistantMessage(()), user("b")) == [UserTurn(content=[Text("a"), Text("b")])]


def test_a_conversation_without_the_user_gets_one() -> None:
    asks = UserTurn(content=[GO_ON])
    assert of() == [asks]
    assert of(AssistantMessage((Text("hi"),))) == [asks, AssistantTurn([Text("hi")]), asks]


def test_a_result_without_content_says_so() -> None:
    results = of(user("a"), AssistantMessage((CALL,)), ToolResult("1", "read", (Text(" "),)))[-1]
    assert results == UserTurn([ToolResult("1", "read", (NO_OUTPUT,))])


def test_calls_and_results_that_lost_each_other_are_left_out() -> None:
    lost = ToolResult("9", "ls", (Text("?"),))
    assert of(user("a"), AssistantMessage((Text("b"), CALL)), lost, user("c")) == [
        UserTurn(content=[Text("a")]),
        AssistantTurn([Text("b")]),
        UserTurn(content=[Text("c")]),
    ]


def test_reasoning_is_kept_for_its_own_model_alone() -> None:
    thought = Thinking("hm", "sig")
    own = AssistantMessage((thought, Text("x")), model="p/m")
    unnamed = AssistantMessage((thought, Text("x")))
    foreign = AssistantMessage((thought, Text("x")), model="q/m")
    kept = [
        turn.content
        for turn in of(user("a"), own, user("b"), unnamed, user("c"), foreign)
        if isinstance(turn, AssistantTurn)
    ]
    assert kept == [[thought, Text("x")], [thought, Text("x")], [Text("x")]]


def test_pictures_are_replaced_by_words_where_none_are_taken() -> None:
    told = of(UserMessage((PICTURE, Image("aGk=", "image/tiff"))), images=True)[0]
    assert told == UserTurn(content=[PICTURE, Text("(a picture is left out: image/tiff is not supported)")])
    blind = of(user("a"), AssistantMessage((CALL,)), ToolResult("1", "read", (PICTURE,)), images=False)[-1]
    note = Text("(a picture, image/png, is left out: this model takes none)")
    assert blind == UserTurn([ToolResult("1", "read", (note,))])
