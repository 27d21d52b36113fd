-- The schema as the releases find it: accounts and their tasks, the racing side (profiles and
-- vehicles), and the teaching side, whose people are described in two places. Those two
-- profile tables, and the constraints that are missing, are what later releases put right.

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Unique as written: ann@example.com and Ann@example.com are two accounts here.
    email text NOT NULL UNIQUE,
    name text,
    hashed_password text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title text NOT NULL,
    description text,
    completed boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE racer_profiles (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    display_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idx_racer_profiles_owner_id ON racer_profiles (owner_id);

CREATE TABLE vehicles (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    profile_id bigint NOT NULL REFERENCES racer_profiles (id) ON DELETE CASCADE,
    make text NOT NULL,
    model text NOT NULL,
    -- Numbers are painted on cars: 007 is not 7.
    race_number text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idx_vehicles_profile_id ON vehicles (profile_id);

CREATE TABLE accounts_userprofile (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    is_teacher boolean NOT NULL DEFAULT false,
    bio text,
    website text
);

CREATE TABLE workshops_userprofile (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    is_instructor boolean NOT NULL DEFAULT false,
    bio text,
    website text
);

CREATE TABLE teacher_applications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected')),
    motivation text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE courses (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    teacher_id bigint NOT NULL REFERENCES users (id),
    title text NOT NULL,
    published boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE workshops (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- A workshop outlives the account of the person who gave it.
    instructor_id bigint REFERENCES users (id) ON DELETE SET NULL,
    title text NOT NULL,
    starts_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
