// The words of the built-in stories: who, where, what, and the phrases that every plot may use. See
// stories.h.
#include "data/stories.h"

namespace chapbook {

const std::string_view story_words = R"(
# Who. Friend and other are never the hero.
name she: Mia | Lily | Anna | Zoe | Rosie | Ella | Ruby | Nora | Daisy | Poppy | Lucy | Clara | Ivy
  | Bella | Tilly | Hazel | Molly | Grace
name he: Ben | Tom | Max | Leo | Sam | Finn | Jack | Oscar | Theo | Toby | Milo | Hugo | Pip | Otto | Noah
  | Gus | Felix | Henry
friend = name
other = name
elder she: Grandma | Mama | Aunt Rose | Aunt May
elder he: Grandpa | Papa | Uncle Joe | Uncle Ned
animal: rabbit | fox | bear | mouse | duck | kitten | puppy | squirrel | hedgehog | owl | frog | pig
  | lamb | turtle | badger | otter | mole | pony
animal2 = animal
kind: {child} | {animal}
friend-kind: {friend.child} | {animal2}
trait: kind | brave | shy | curious | cheerful | quiet | clever | gentle | silly | friendly | careful
  | happy

# Where and when
home: by the river | near the forest | on a green hill | by the sea | at the edge of the village
  | on a quiet farm | beside a small lake | next to the old mill | behind the big garden
  | at the end of a long road
outside: garden | park | meadow | forest | field | yard
day: one morning | one day | one afternoon
  | one [sunny|windy|cloudy|warm|cold|quiet|bright] [morning|day|afternoon]

# Things
color: red | blue | green | yellow | purple | orange | pink | white | golden | brown
toy: ball | kite | drum | boat | train | doll | wagon | robot | truck | puppet | plane | teddy bear
food: apple | muffin | cookie | pear | pancake | bun | sandwich | cake | banana | peach
food2 = food
hobby: sing | dance | draw | paint | read books | climb trees | jump in puddles | look at the clouds
  | pick flowers | tell stories | run in the grass | build towers | watch the birds | play outside
  | make up games | help {elder}

# Phrases
opening:
    Once upon a time, there was a {trait} [little|young] {kind} named {name} who loved to {hobby}.
  | Once upon a time, in a [small|cozy|little] house {home}, there lived a {trait} {kind} named {name}.
  | Once there was a {kind} named {name}. {He} was {trait}, and {he} loved to {hobby}.
  | {name} was a {trait} little {kind}. {He} lived {home} and liked to {hobby} every day.
  | A {trait} {kind} named {name} lived in a [small|cozy|little] house {home}.
  | There once was a {kind} named {name} who lived {home}.
pal: {his} friend {friend} | {his} best friend {friend}
  | a [kind|friendly|cheerful|little] {friend-kind} named {friend}
mope: felt very sad | began to cry | sat down and cried | did not know what to do
  | felt a tear roll down {his} cheek
what-is-wrong: What is wrong, {name}? | Why are you so sad, {name}? | Oh, {name}, what happened?
comfort: Do not worry | Do not be sad | Do not cry
thanks: Thank you, {friend}! | Thank you so much, {friend}! | You are a true friend, {friend}!
smile: smiled | laughed | clapped | jumped for joy | smiled a big smile
proud: I am so proud of you | Well done, {name} | You did it, {name}
play-end:
    They played together until the sun went down.
  | They laughed and played for the rest of the day.
  | Then {name} and {friend} went outside and played until dinner.
  | From that day on, {name} and {friend} were best friends.
  | That night, {name} went to bed with a [happy|warm] heart.
home-end:
    That night, {name} fell asleep with a smile.
  | It was the best day of all.
  | That night, {elder} read {him} a story, and {he} [slept well|dreamed sweet dreams].
  | {name} was so happy that {he} [danced|sang|hopped] all the way home.
)";

}  // namespace chapbook
